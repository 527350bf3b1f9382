package provision

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/zkctl/zkctl/inventory"
	"github.com/zkctl/zkctl/remote"
	"github.com/zkctl/zkctl/remote/sshtest"
)

// camp are hosts with SSH servers in this process, whose users log in to each other with the ssh of this machine.
type camp struct {
	t        *testing.T
	servers  []*sshtest.Server
	identity string
	operator ssh.PublicKey
	system   string // further settings
	refuse   func(host string, cmd remote.Command) error
	events   []string
	mu       sync.Mutex
}

func newCamp(t *testing.T, n int) *camp {
	t.Helper()
	for _, program := range []string{"ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here", program)
		}
	}
	c := &camp{t: t}
	c.identity, c.operator = sshtest.WriteKey(t, "")
	for i := range n {
		server := sshtest.Start(t, sshtest.Options{Account: true, Sudo: &sshtest.Sudo{}})
		c.servers = append(c.servers, server)
		c.write(i, "authorized_keys", "# by hand\n"+string(ssh.MarshalAuthorizedKey(c.operator)))
	}
	return c
}

func (c *camp) path(i int, name string) string {
	return filepath.Join(c.servers[i].Home, ".ssh", name)
}

func (c *camp) write(i int, name, text string) {
	c.t.Helper()
	if err := os.WriteFile(c.path(i, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *camp) read(i int, name string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.path(i, name))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// refusing is a host on which commands can be made to fail.
type refusing struct {
	*remote.SSH
	c *camp
}

func (h refusing) Run(ctx context.Context, cmd remote.Command) (remote.Result, error) {
	if h.c.refuse != nil {
		if err := h.c.refuse(h.Name(), cmd); err != nil {
			return remote.Result{}, err
		}
	}
	return h.SSH.Run(ctx, cmd)
}

func (c *camp) run() *Run {
	c.t.Helper()
	who, err := user.Current()
	if err != nil {
		c.t.Fatal(err)
	}
	text := "name: camp\nssh: {config: none, user: " + who.Username + ", host_key_policy: off, identity_files: [" + c.identity + "], agent: false}\n" +
		"system: {hosts_file: leave" + c.system + "}\nhosts:\n"
	for i, s := range c.servers {
		text += fmt.Sprintf("  - {name: h%d, address: 127.0.0.1, id: %d, ssh: {port: %d}, server: {service: s%d, ports: {client: %d, peer: %d, election: %d, metrics: 0}, paths: {data: /d%d, install: /i%d, config: /c%d}}}\n",
			i+1, i+1, s.Port, i, 1000+i, 2000+i, 3000+i, i, i, i)
	}
	inv, err := inventory.Parse("camp.yaml", []byte(text))
	if err != nil {
		c.t.Fatal(err)
	}
	r := &Run{
		Inventory: inv, Parallel: 10,
		Connect: func(h inventory.Host) (remote.Host, error) {
			s, err := remote.NewSSH(remote.SSHConfig{Name: h.Name, Address: h.Address, Port: h.SSH.Port, User: h.SSH.User,
				IdentityFiles: h.SSH.IdentityFiles, HostKeys: remote.HostKeyOff})
			return refusing{s, c}, err
		},
		Report: func(e Event) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.events = append(c.events, e.Host+": "+e.Text)
		},
	}
	c.t.Cleanup(r.Close)
	return r
}

// state is everything in the .ssh directories but known_hosts.
func (c *camp) state() map[string]string {
	c.t.Helper()
	state := map[string]string{}
	for i, s := range c.servers {
		entries, err := os.ReadDir(filepath.Join(s.Home, ".ssh"))
		if err != nil {
			c.t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "known_hosts" {
				state[fmt.Sprintf("h%d/%s", i+1, e.Name())] = c.read(i, e.Name())
			}
		}
	}
	return state
}

// complete demands what a finished operation leaves: a key pair each, everyone's key everywhere, nothing else but what
// was there before, and that every login works.
func (c *camp) complete(foreign ...string) {
	c.t.Helper()
	keys, err := c.run().Keys(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for i, k := range keys {
		if len(k.Observed.Keys) != 1 || len(k.Observed.Next) != 0 || len(k.Observed.Last) != 0 {
			c.t.Errorf("%s has keys %v, next %v, last %v", k.Host.Name, k.Observed.Keys, k.Observed.Next, k.Observed.Last)
		}
		text := c.read(i, "authorized_keys")
		want := 2 + len(keys) + len(foreign) // the comment, the operator
		if n := strings.Count(text, "\n"); n != want {
			c.t.Errorf("%s: %d lines in authorized_keys, want %d:\n%s", k.Host.Name, n, want, text)
		}
		for _, other := range keys {
			if !strings.Contains(text, other.Current().Public.Line()) {
				c.t.Errorf("%s does not let %s in", k.Host.Name, other.Host.Name)
			}
		}
	}
	r := c.run()
	ring, err := r.lookAtKeys(c.t.Context())
	if err == nil {
		err = r.proveKeys(c.t.Context(), &ring.keyring)
	}
	if err != nil {
		c.t.Errorf("not everyone can log in: %v", err)
	}
}

func TestSyncAndRotateKeys(t *testing.T) {
	c := newCamp(t, 3)
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.complete()
	before := c.state()
	rotated, err := c.run().RotateKeys(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.complete()
	after := c.state()
	for i, k := range rotated {
		name := k.Host + "/id_ed25519"
		if before[name] == after[name] || k.Old == k.New {
			t.Errorf("%s: the key is the same: %+v", k.Host, k)
		}
		if !strings.HasPrefix(after[k.Host+"/authorized_keys"], "# by hand\n"+string(ssh.MarshalAuthorizedKey(c.operator))) {
			t.Errorf("%d: what others wrote is gone", i)
		}
	}
	// One of them alone.
	if rotated, err = c.run().RotateKeys(t.Context(), []string{"h2"}); err != nil || len(rotated) != 1 || rotated[0].Host != "h2" {
		t.Fatalf("%v, %v", rotated, err)
	}
	c.complete()
	if now := c.state(); now["h1/id_ed25519"] != after["h1/id_ed25519"] || now["h2/id_ed25519"] == after["h2/id_ed25519"] {
		t.Error("the wrong key was rotated")
	}
	// To another type: the file is another one, too.
	c.system = ", ssh_key_type: rsa"
	if _, err = c.run().RotateKeys(t.Context(), []string{"h3"}); err != nil {
		t.Fatal(err)
	}
	c.complete()
	if now := c.state(); now["h3/id_rsa"] == "" || now["h3/id_ed25519"] != "" {
		t.Error("h3 has no RSA key, or its old one still")
	}
}

// Whatever command of a rotation fails, either everything is as before, or the next run finishes it.
func TestRotationThatFails(t *testing.T) {
	c := newCamp(t, 3)
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		t.Skip("many rotations")
	}
	for n := 1; ; n++ {
		before := c.state()
		seen, failed := 0, ""
		var mu sync.Mutex
		c.refuse = func(host string, cmd remote.Command) error {
			mu.Lock()
			defer mu.Unlock()
			if host != "h2" {
				return nil
			}
			if seen++; seen == n {
				failed = cmd.Label
				return errors.New("refused for the test")
			}
			return nil
		}
		_, err := c.run().RotateKeys(t.Context(), nil)
		c.refuse = nil
		if err == nil {
			t.Logf("%d commands on h2", n-1)
			break
		}
		restored := strings.Contains(err.Error(), "the keys are everywhere as they were before")
		if same := equalStates(before, c.state()); restored && !same {
			t.Errorf("after %q failed: said to be restored, but\n%v\nwas\n%v", failed, names(c.state()), names(before))
		}
		if _, err := c.run().RotateKeys(t.Context(), nil); err != nil {
			t.Fatalf("the run after %q failed: %v", failed, err)
		}
		c.complete()
	}
}

// Where a rotation fails, and one host cannot be given its key back either, that host is still let in with the one it has.
func TestRotationThatCannotBeTakenBack(t *testing.T) {
	c := newCamp(t, 3)
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	proofs := 0
	var mu sync.Mutex
	c.refuse = func(host string, cmd remote.Command) error {
		mu.Lock()
		defer mu.Unlock()
		if host == "h1" && cmd.Label == "log in to the other members" {
			if proofs++; proofs == 2 { // the one after the swap
				return errors.New("refused for the test")
			}
		}
		if host == "h2" && strings.HasPrefix(cmd.Label, "put the key ") {
			return errors.New("nor this")
		}
		return nil
	}
	_, err := c.run().RotateKeys(t.Context(), nil)
	c.refuse = nil
	if err == nil || !strings.Contains(err.Error(), "taking it back failed, too") || !strings.Contains(err.Error(), "nor this") {
		t.Fatal(err)
	}
	r := c.run()
	ring, err := r.lookAtKeys(t.Context())
	if err == nil {
		err = r.proveKeys(t.Context(), &ring.keyring)
	}
	if err != nil || !ring.members[1].Rotating() || ring.members[0].Rotating() {
		t.Errorf("between the runs: %v", err)
	}
	if _, err := c.run().RotateKeys(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	c.complete()
}

// A rotation that is killed is finished by the next one, wherever that was.
func TestRotationThatIsKilled(t *testing.T) {
	c := newCamp(t, 3)
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		t.Skip("many rotations")
	}
	const stride = 3
	for n := 2; ; n += stride {
		seen, dead := 0, false
		var mu sync.Mutex
		c.refuse = func(host string, cmd remote.Command) error {
			mu.Lock()
			defer mu.Unlock()
			if seen++; seen >= n {
				dead = true
			}
			if dead {
				return errors.New("dead")
			}
			return nil
		}
		_, err := c.run().RotateKeys(t.Context(), nil)
		c.refuse = nil
		if err == nil {
			break
		}
		if _, err := c.run().RotateKeys(t.Context(), nil); err != nil {
			t.Fatalf("the run after the one that died at command %d: %v", n, err)
		}
		if c.complete(); t.Failed() {
			t.Fatalf("died at command %d", n)
		}
	}
}

func equalStates(a, b map[string]string) bool {
	return slices.Equal(names(a), names(b)) && func() bool {
		for k, v := range a {
			if b[k] != v {
				return false
			}
		}
		return true
	}()
}

func names(m map[string]string) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func TestRevokeKeys(t *testing.T) {
	c := newCamp(t, 2)
	_, intruder := sshtest.WriteKey(t, "")
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(intruder))) + " mallory@laptop\n"
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean := c.state()
	file := filepath.Join(t.TempDir(), "mallory.pub")
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"mallory@laptop", ssh.FingerprintSHA256(intruder), file} {
		for i := range c.servers {
			c.write(i, "authorized_keys", "no-pty "+line+c.read(i, "authorized_keys")+line)
		}
		if n, err := c.run().RevokeKeys(t.Context(), []string{id}); err != nil || n != 4 {
			t.Fatalf("%s: %d, %v", id, n, err)
		}
		if !equalStates(clean, c.state()) {
			t.Errorf("%s: not all is as before:\n%s", id, c.read(0, "authorized_keys"))
		}
	}
	// What another file of sshd's lets in cannot be revoked here, and that is no success.
	c.write(1, "authorized_keys", line+c.read(1, "authorized_keys"))
	c.write(1, "authorized_keys2", line)
	if n, err := c.run().RevokeKeys(t.Context(), []string{"mallory@laptop"}); n != 1 || err == nil || !strings.Contains(err.Error(), "h2: "+c.path(1, "authorized_keys2")+" goes on letting in "+ssh.FingerprintSHA256(intruder)) {
		t.Errorf("%d, %v", n, err)
	}
	if err := os.Remove(c.path(1, "authorized_keys2")); err != nil {
		t.Fatal(err)
	}
	if !equalStates(clean, c.state()) {
		t.Error("it is not taken out where it can be")
	}
	// What would lock out is refused.
	keys, err := c.run().Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		ssh.FingerprintSHA256(c.operator):      "the key with which we are logged in",
		keys[0].Current().Public.Fingerprint(): "zkctl keys rotate --limit h1",
	} {
		var refused *RefusedError
		if _, err := c.run().RevokeKeys(t.Context(), []string{id}); !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if !equalStates(clean, c.state()) {
		t.Error("something was changed")
	}
}

// Where a login fails after keys were taken out, they come back.
func TestTakenKeysComeBack(t *testing.T) {
	c := newCamp(t, 2)
	_, other := sshtest.WriteKey(t, "")
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(other))) + " ops\n"
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range c.servers {
		c.write(i, "authorized_keys", c.read(i, "authorized_keys")+line)
	}
	before := c.state()
	c.refuse = func(host string, cmd remote.Command) error {
		if cmd.Label == "log in to the other members" {
			return errors.New("refused for the test")
		}
		return nil
	}
	_, err := c.run().RevokeKeys(t.Context(), []string{"ops"})
	c.refuse = nil
	if err == nil || !strings.Contains(err.Error(), "authorized_keys is everywhere as it was before") {
		t.Fatal(err)
	}
	if !equalStates(before, c.state()) {
		t.Errorf("not everything came back:\n%s", c.read(0, "authorized_keys"))
	}
}

func TestExclusiveKeys(t *testing.T) {
	c := newCamp(t, 2)
	_, foreign := sshtest.WriteKey(t, "")
	_, colleague := sshtest.WriteKey(t, "")
	file := filepath.Join(t.TempDir(), "colleague.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(colleague), 0o600); err != nil {
		t.Fatal(err)
	}
	c.write(0, "authorized_keys", string(ssh.MarshalAuthorizedKey(foreign))+c.read(0, "authorized_keys"))
	c.system = ", authorized_keys: [" + file + "]"
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := c.read(0, "authorized_keys"); !strings.Contains(text, string(ssh.MarshalAuthorizedKey(foreign))) {
		t.Error("a foreign key was taken out though nobody said so")
	}
	c.system += ", ssh_keys: exclusive"
	dry := c.run()
	dry.DryRun = true
	before := c.state()
	if err := dry.SyncKeys(t.Context()); err != nil || dry.Changes() != 1 || !equalStates(before, c.state()) {
		t.Errorf("dry run: %v, %d changes", err, dry.Changes())
	}
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range c.servers {
		text := c.read(i, "authorized_keys")
		if strings.Contains(text, string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(foreign)))) ||
			!strings.Contains(text, string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(colleague)))) ||
			!strings.Contains(text, string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(c.operator)))) {
			t.Errorf("h%d:\n%s", i+1, text)
		}
	}
	again := c.run()
	if err := again.SyncKeys(t.Context()); err != nil || again.Changes() != 0 {
		t.Errorf("the second run: %v, %d changes", err, again.Changes())
	}
}

// Within a limit other hosts stay as they are, and no key is taken for a stranger's that may be theirs.
func TestKeysWithinALimit(t *testing.T) {
	c := newCamp(t, 3)
	_, foreign := sshtest.WriteKey(t, "")
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(foreign))) + " mallory@laptop\n"
	for i := range c.servers {
		c.write(i, "authorized_keys", c.read(i, "authorized_keys")+line)
	}
	away := func(host string, cmd remote.Command) error {
		if host == "h3" {
			return &remote.ConnError{Host: host, Step: "connect", Kind: remote.ErrUnreachable}
		}
		return nil
	}
	limited := func(names ...string) *Run {
		r := c.run()
		r.Limit = names
		return r
	}
	lets := func(i int, text string) bool { return strings.Contains(c.read(i, "authorized_keys"), text) }
	said := func(what string) {
		t.Helper()
		if !slices.ContainsFunc(c.events, func(e string) bool { return strings.Contains(e, what) }) {
			t.Errorf("nobody says %q: %q", what, c.events)
		}
		c.events = nil
	}

	c.refuse = away
	c.system = ", ssh_keys: exclusive"
	if err := c.run().SyncKeys(t.Context()); !errors.Is(err, remote.ErrUnreachable) {
		t.Errorf("h3 is out of reach: %v", err)
	}
	if err := limited("h1", "h2").SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	said("no key is taken out of authorized_keys: which ones are those of h3 is not known")
	c.refuse = nil
	if state := c.state(); state["h1/id_ed25519"] == "" || state["h3/id_ed25519"] != "" || !lets(1, strings.TrimSpace(state["h1/id_ed25519.pub"])) || !lets(0, line) {
		t.Errorf("after h1 and h2 without h3: %v\n%s", names(state), c.read(1, "authorized_keys"))
	}

	c.system = ""
	if err := c.run().SyncKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := limited("h1").RevokeKeys(t.Context(), []string{"mallory@laptop"}); err != nil || n != 1 || lets(0, line) || !lets(1, line) {
		t.Errorf("revoked on h1: %d, %v", n, err)
	}
	said("h2: is left out, and goes on letting in " + ssh.FingerprintSHA256(foreign) + " mallory@laptop")
	c.system = ", ssh_keys: exclusive"
	if err := limited("h2").SyncKeys(t.Context()); err != nil || lets(1, line) || !lets(2, line) || !lets(1, strings.TrimSpace(c.state()["h3/id_ed25519.pub"])) {
		t.Errorf("h2 alone: %v", err)
	}
}

// Of members on one machine, one of the limit stands for it.
func TestOneOfEachMachine(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(`name: e
hosts:
  - {name: a1, address: a, id: 1, server: {service: s1, ports: {client: 1, peer: 2, election: 3}, paths: {data: /d1, install: /i1, config: /c1}}}
  - {name: b, address: b, id: 2}
  - {name: a2, address: a, id: 3, server: {service: s2, ports: {client: 4, peer: 5, election: 6, metrics: 0}, paths: {data: /d2, install: /i2, config: /c2}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[string]string{"": "a1 b", "a2": "a2 b", "a1": "a1 b", "a1,a2": "a1 b"} {
		r := &Run{Inventory: inv}
		if limit != "" {
			r.Limit = strings.Split(limit, ",")
		}
		var got []string
		for _, h := range r.oneOfEachMachine() {
			got = append(got, h.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("with --limit %q: %q, want %q", limit, got, want)
		}
	}
}
