package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func loadFlags(t *testing.T, lines string, flags ...Flags) (*Config, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "zoo.cfg"), "dataDir="+dir+"\nclientPort=2181\n"+lines)
	c, err := Load(filepath.Join(dir, "zoo.cfg"), flags...)
	var b strings.Builder
	if err != nil {
		fmt.Fprintln(&b, err)
	} else {
		for _, p := range c.Notices {
			fmt.Fprintln(&b, p)
		}
	}
	return c, strings.ReplaceAll(b.String(), dir, "$DIR")
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		words, lines, want string
	}{
		{words: "-Dzookeeper.snapCount=7 -Djute.maxbuffer=4096 -Dzookeeper.jute.maxbuffer.extrasize=1 -Dfsync.warningthresholdms=3"},
		{words: "-Dzookeeper.snapCount=x", want: "F: -Dzookeeper.snapCount=x: not a whole number; give txns between snapshots, at least 2\n"},
		{words: "-Dzookeeper.snapCount", want: "F: -Dzookeeper.snapCount: not a whole number; give txns between snapshots, at least 2\n"},
		{words: "-Dzookeeper.snapCount=7", lines: "snapCount=8\n",
			want: "F: -Dzookeeper.snapCount=7: given again in line 3 of $DIR/zoo.cfg, which counts; remove one of them\n"},
		{words: "-Dzookeeper.tickTime=7", want: "F: -Dzookeeper.tickTime=7: no system property, ignored; write it into zoo.cfg as tickTime\n"},
		{words: "-DtickTime=7", want: "F: -DtickTime=7: no system property, ignored; write it into zoo.cfg as tickTime\n"},
		{words: "-Dzookeeper.server.1=a:1:2", want: "F: -Dzookeeper.server.1=a:1:2: no system property, ignored; write it into zoo.cfg as server.1\n"},
		{words: "-DsnapCount=7", want: "F: -DsnapCount=7: no system property, ignored; write -Dzookeeper.snapCount\n"},
		{words: "-Dzookeeper.snapcount=7", want: "F: -Dzookeeper.snapcount=7: unknown key, ignored; did you mean snapCount?\n"},
		{words: "-Dzookeeper.nio.numWorkerThreads=7",
			want: "F: -Dzookeeper.nio.numWorkerThreads=7: has no effect: this server has no pools of threads whose size could be set\n"},
		{words: "-Djava.net.preferIPv4Stack=true",
			want: "F: -Djava.net.preferIPv4Stack=true: a property of a JVM or of its libraries, which this server does without\n"},
		{words: "-D", want: "F: -D: a property of a JVM or of its libraries, which this server does without\n"},
		{words: "-Xmx1g -XX:+UseG1GC -Dzookeeper.snapCount=7", want: "F: -Xmx1g -XX:+UseG1GC: flags of a JVM, which this server does without\n"},
		{words: "-server \"two", want: "F: 2 more words: neither -Dname=value nor a flag of a JVM, ignored; blanks separate words, quotes do not join them\n"},
		{words: "-Dzookeeper.DigestAuthenticationProvider.superDigest=hunter2 -Dzookeeper.DigestAuthenticationProvider.superDigest=hunter3",
			want: "F: -Dzookeeper.DigestAuthenticationProvider.superDigest=(hidden): given again in F, which counts; remove one of them\n"},
		{words: "-Dzookeeper.snapshot.compression.method=zip", lines: "tickTime=x\n",
			want: "$DIR/zoo.cfg:3: tickTime=x: not a whole number; give milliseconds, such as 2000\n" +
				"F: -Dzookeeper.snapshot.compression.method=zip: unknown method; give gz or snappy, or remove the key\n"},
	} {
		_, got := loadFlags(t, c.lines, Flags{"F", strings.Fields(c.words)})
		if got != c.want {
			t.Errorf("%s, zoo.cfg %q: got\n%swant\n%s", c.words, c.lines, got, c.want)
		}
	}
	cfg, notices := loadFlags(t, "snapCount=9\n", Flags{"A", []string{"-Djute.maxbuffer=1111111", "-Dzookeeper.leaderServes=no"}},
		Flags{"B", []string{"-Djute.maxbuffer=2222222", "-Dzookeeper.snapCount=5"}})
	if cfg == nil || cfg.MaxBufferBytes != 2222222 || cfg.LeaderServes || cfg.SnapCount != 9 {
		t.Errorf("got %+v\n%s", cfg, notices)
	}
}

func TestStandalone(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args string
		want string
	}{
		{"2182 " + dir, fmt.Sprint(":2182 ", dir, " 3s 0")},
		{"2182 " + dir + " 500", fmt.Sprint(":2182 ", dir, " 500ms 0")},
		{"2182 " + dir + " 500 9", fmt.Sprint(":2182 ", dir, " 500ms 9")},
		{"0 " + dir, "the command line: clientPort=0: less than 1; give a port, such as 2181"},
		{"2182 " + dir + " 500 x", "the command line: maxClientCnxns=x: not a whole number; give connections per client address, or 0 for no limit"},
	} {
		cfg, err := Standalone(strings.Fields(c.args), Flags{"F", []string{"-Dzookeeper.snapCount=7"}})
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(cfg.ClientAddress(), " ", cfg.DataLogDir, " ", cfg.TickTime, " ", cfg.MaxClientCnxns)
			if cfg.Distributed || cfg.SnapCount != 7 || len(cfg.Notices) > 0 {
				t.Errorf("%s: %+v", c.args, cfg)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.args, got, c.want)
		}
	}
}

func FuzzFlags(f *testing.F) {
	f.Add("-Dzookeeper.snapCount=7 -Xmx1g -Djute.maxbuffer", "2181 /d")
	f.Add("-D -D=x -Dzookeeper. -Dzookeeper.server.1=a:1:2 -Dzookeeper.zookeeper.x=1", "x")
	f.Fuzz(func(t *testing.T, words, args string) {
		cfg, err := Standalone(strings.Fields(args), Flags{"F", strings.Fields(words)})
		if err == nil && (cfg.ClientPort == 0 || cfg.DataDir == "" || cfg.Distributed) {
			t.Errorf("accepted %+v", cfg)
		}
	})
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
