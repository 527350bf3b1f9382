//go:build interop

package interop

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/server/sasl"
)

// javaSASL is testdata/DigestMD5.java: both sides of DIGEST-MD5 as Java has them.
type javaSASL struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func startJavaSASL(t *testing.T, user, password string) *javaSASL {
	t.Helper()
	need(t, "javac", "default-jdk-headless")
	cmd := exec.Command("java", "testdata/DigestMD5.java")
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	j := &javaSASL{t: t, in: in, out: bufio.NewScanner(out)}
	_, err = fmt.Fprintf(in, "%x %x\n", user, password)
	must(t, err)
	return j
}

// ask sends a question. The error is Java's refusal.
func (j *javaSASL) ask(format string, args ...any) ([]byte, error) {
	j.t.Helper()
	_, err := fmt.Fprintf(j.in, format+"\n", args...)
	must(j.t, err)
	if !j.out.Scan() {
		j.t.Fatalf("Java has ended: %v", j.out.Err())
	}
	word, rest, _ := strings.Cut(j.out.Text(), " ")
	if word != "ok" {
		return nil, fmt.Errorf("%s", rest)
	}
	token, err := hex.DecodeString(rest)
	must(j.t, err)
	return token, nil
}

// challenge begins an exchange with Java's server and returns its nonce.
func (j *javaSASL) challenge() (challenge []byte, nonce string) {
	j.t.Helper()
	_, err := j.ask("server")
	must(j.t, err)
	challenge, err = j.ask("toServer ")
	must(j.t, err)
	_, rest, _ := strings.Cut(string(challenge), `nonce="`)
	nonce, _, _ = strings.Cut(rest, `"`)
	return challenge, nonce
}

// TestSASLTokens gives the same tokens, right ones and mutilated ones, to our server of DIGEST-MD5 and to Java's, and lets
// each of our sides speak with the other one of Java.
func TestSASLTokens(t *testing.T) {
	const user, password = `b"o\bé`, `p w",é`
	j := startJavaSASL(t, user, password)
	lookUp := func(name string) (string, bool) { return password, name == user }

	server := sasl.NewServer("zookeeper", "zk-sasl-md5", "a+nonce/of=ours", lookUp)
	_, err := j.ask("client")
	must(t, err)
	token, err := server.Respond(nil)
	must(t, err)
	token, err = j.ask("toClient %x", token)
	must(t, err)
	token, err = server.Respond(token)
	must(t, err)
	_, err = j.ask("toClient %x", token)
	must(t, err)
	if server.User() != user {
		t.Errorf("Java's client is %q", server.User())
	}

	for _, first := range []int{0, 1, 4096, 4097} {
		token := make([]byte, first)
		_, err := j.ask("server")
		must(t, err)
		_, theirs := j.ask("toServer %x", token)
		_, ours := sasl.NewServer("zookeeper", "zk-sasl-md5", "nonce", lookUp).Respond(token)
		if (theirs == nil) != (ours == nil) {
			t.Errorf("of %d bytes that come first, ours says %v, Java %v", first, ours, theirs)
		}
	}

	accepted := 0
	for seed := range uint64(4000) {
		challenge, nonce := j.challenge()
		client := sasl.NewClient("zookeeper", "zk-sasl-md5", user, password, "cnonce")
		response, err := client.Respond(challenge)
		must(t, err)
		server := sasl.NewServer("zookeeper", "zk-sasl-md5", nonce, lookUp)
		_, err = server.Respond(nil)
		must(t, err)
		if seed > 0 {
			response = mutilated(rand.New(rand.NewPCG(seed, 0)), response)
		}
		ours, refusal := server.Respond(response)
		theirs, theirRefusal := j.ask("toServer %x", response)
		if (refusal == nil) != (theirRefusal == nil) || string(ours) != string(theirs) {
			t.Errorf("seed %d: %q\n ours: %s %v\n Java: %s %v", seed, response, ours, refusal, theirs, theirRefusal)
		}
		if refusal == nil {
			accepted++
			if server.User() != user {
				t.Errorf("seed %d: the user is %q", seed, server.User())
			}
		}
	}
	if accepted < 100 {
		t.Errorf("only %d tokens were good", accepted)
	}
	t.Logf("%d tokens accepted by both", accepted)
}

// mutilated changes a token in one of many ways, some of which change nothing that matters.
func mutilated(r *rand.Rand, token []byte) []byte {
	parts := strings.Split(string(token), ",") // the user's name has no comma
	at := r.IntN(len(parts))
	switch name, value, _ := strings.Cut(parts[at], "="); r.IntN(15) {
	case 0:
		parts[at] = name + "=" + strings.Trim(value, `"`)
	case 1:
		parts[at] = name + `="` + strings.Trim(value, `"`) + `"`
	case 2:
		parts[at] = strings.ToUpper(name) + "=" + value
	case 3:
		parts[at] = " " + name + " = " + value + "\r\n\t"
	case 4:
		parts = append(parts, parts[at])
	case 5:
		parts = append(parts[:at], parts[at+1:]...)
	case 6:
		parts[at] = ""
	case 7:
		parts[at] = name
	case 8:
		parts[at] = name + "="
	case 9:
		parts[at] = name + `=""`
	case 10:
		parts = append(parts, "unknown=\"x\"")
	case 11:
		parts[at], parts[0] = parts[0], parts[at]
	case 12:
		parts[at] += "x"
	case 13:
		parts[at] = name + "=" + strings.ToUpper(value)
	case 14:
		b := []byte(strings.Join(parts, ","))
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}
	return []byte(strings.Join(parts, ","))
}
