package templates

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// systemd219 are the settings of our units that systemd 219, CentOS 7's, knows, by section: man pages of that release.
const systemd219 = " Unit.Description Unit.Documentation Unit.After Unit.Wants Service.Type Service.User Service.ExecStartPre Service.ExecStart " +
	"Service.Restart Service.RestartSec Service.StartLimitInterval Service.RestartPreventExitStatus Service.TimeoutStartSec Service.TimeoutStopSec " +
	"Service.LimitNOFILE Service.NoNewPrivileges Service.PrivateTmp Install.WantedBy "

func TestUnitIsForOldSystemd(t *testing.T) {
	section := ""
	for line := range strings.Lines(string(Unit(member(t, "master", Systemd)))) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		if !strings.Contains(systemd219, " "+section+"."+key+" ") {
			t.Errorf("systemd 219 knows no %s in [%s]", key, section)
		}
		if value == "infinity" {
			t.Errorf("%s: before systemd 229 a timeout is switched off by 0, not by infinity", key)
		}
	}
}

// What our scripts ask of systemctl, systemd 219 can do, or there is another way behind it: --value came with 230, and --now is not
// in every 219.
func TestScriptsAreForOldSystemd(t *testing.T) {
	recent := regexp.MustCompile(`systemctl[^|;&]* --(value|now)\b`)
	files, err := filepath.Glob("files/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, dir := range []string{"../hostprep", "../provision", "../remote", "../sshkeys"} {
		sources, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(sources) == 0 {
			t.Fatal(dir, err)
		}
		files = append(files, sources...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if recent.MatchString(line) && !strings.Contains(line, "Remedy") && !strings.HasSuffix(line, " 2>/dev/null ||") {
				t.Errorf("%s:%d: %s", file, i+1, line)
			}
		}
	}
}
