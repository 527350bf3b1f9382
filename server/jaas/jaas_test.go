package jaas

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What Java's parser makes of these was tried with Java 17; options of one module are joined with spaces, modules with |.
var readings = []struct{ text, want string }{
	{`Server { a.b.C required user_bob="x"; };`, `Server: a.b.C user_bob=x`},
	{`Server{a.b.C required user_bob="x";};`, `Server: a.b.C user_bob=x`},
	{"Server { a.b.C required\nuser_bob\n=\n\"x\"\n;\n}\n;\n", `Server: a.b.C user_bob=x`},
	{`Server { a.b.C REQUIRED user_bob=x; }; Client { d.E optional; f.G sufficient k=v ; };`, `Client: d.E | f.G k=v; Server: a.b.C user_bob=x`},
	{"/* c */ Server { // x\n a.b.C required\n user_bob=\"x y\"\n user_eve=\"p\\\"q\\\\\\n\\101\" ; } ;",
		"Server: a.b.C user_bob=x y user_eve=p\"q\\\nA"},
	{`"My Server" { a.b.C requisite "user_b@R"="x"; };`, `My Server: a.b.C user_b@R=x`},
	{`Server { };`, `Server:`},
	{``, ``},
	{"// nothing\n", ``},
	{`Server { a.b.C required user_bob=""; };`, `Server: a.b.C user_bob=`},
	{`Server { a.b.C required user_bob=x user_bob=y; };`, `Server: a.b.C user_bob=y`},
	{`Server { a.b.C required user_b.o-1=x*y; };`, `Server: a.b.C user_b.o-1=x*y`},
	{`Server { a.b.C required user_bé=é; };`, `Server: a.b.C user_bé=é`},
	{`Server { a.b.C required user_bob="a//b/*c*/"; };`, `Server: a.b.C user_bob=a//b/*c*/`},
	{"Server { a.b.C required user_bob=a//b\n; };", `Server: a.b.C user_bob=a`},
	{"Server { a.b.C required user_bob=a/b\n; };", `Server: a.b.C user_bob=a`},
	{`Server { a.b.C required user_bob="\t\b\q\7\1234\400"; };`, "Server: a.b.C user_bob=\t\bq\aS4 0"},
	{"Server { a.b.C required user_bob=\"a\\\nb\"; };", "Server: a.b.C user_bob=a\nb"},
	{"Server { a.b.C required user_bob=\"tab\there\"; };", "Server: a.b.C user_bob=tab\there"},
	{`Server { a.b.C required user_bob="a$b{c}"; };`, `Server: a.b.C user_bob=a$b{c}`},
	{`Server { a.b.C required u=x; }; /* open`, `Server: a.b.C u=x`},

	{`Server { a.b.C required user_bob="x"; }`, `line 1: ; is expected after the } of section "Server", but the file ends`},
	{"Server {\n a.b.C required\n user_bob=\"x\" };", `line 3: an option or ; is expected`},
	{`Server { a.b.C needed user_bob="x"; };`, `line 1: "needed" is none of required, requisite, sufficient and optional`},
	{"Server { a.b.C required; };\n\nServer { a.b.D required; };", `line 3: section "Server" again, after line 1`},
	{`Server { a.b.C required user_bob; };`, `line 1: = and a value are expected after the name of an option`},
	{`Server { a.b.C required user_bob=; };`, `line 1: a value is expected after =; in quotes, unless it begins with a letter`},
	{`Server { a.b.C required user_bob=12; };`, `line 1: a value is expected after =; in quotes, unless it begins with a letter`},
	{`Server { a.b.C required user_bob='x y'; };`, `line 1: a value is expected after =; in quotes, unless it begins with a letter`},
	{"Server {\r\n a.b.C required\r\n user_bob=\"x\r\n\"; };", `line 3: a quote is not closed in its line`},
	{"Server { a.b.C required\n user_bob=\"x; };", `line 2: a quote is not closed in its line`},
	{"\n\nServer { a.b.C required user_bob=\"${user.home}\"; };", `line 3: system properties, ${name}, are not expanded by this server: write the value itself`},
	{`Server { a.b.C required user_b@R=x; };`, `line 1: = and a value are expected after the name of an option`},
	{`Server { a.b.C required user_bob="x", user_eve="y"; };`, `line 1: an option or ; is expected`},
	{`Server { a.b.C required u=x=y; };`, `line 1: an option or ; is expected`},
	{`Server { a.b.C required u=x:y; };`, `line 1: an option or ; is expected`},
	{`Server { a.b.C required u=x/y; };`, `line 1: an option or ; is expected, but the file ends`},
	{`Server { a.b.C; };`, `line 1: required, requisite, sufficient or optional is expected after the class of a login module`},
	{`Server { a.b.C required u=x; `, `line 1: the class of a login module or } is expected, but the file ends`},
	{"# comment\nServer { a.b.C required u=x; };", `line 1: the name of a section is expected`},
	{`;`, `line 1: the name of a section is expected`},
	{`5Server { a.b.C required u=x; };`, `line 1: the name of a section is expected`},
	{`Server`, `line 1: { is expected after the name of section "Server", but the file ends`},
	{`Server { "`, `line 1: a quote is not closed in its line`},
}

func TestParse(t *testing.T) {
	for _, test := range readings {
		sections, err := Parse([]byte(test.text))
		got := describe(sections)
		if err != nil {
			got = err.Error()
			var located *Error
			if !errors.As(err, &located) {
				t.Errorf("%s: a %T", test.text, err)
			}
		}
		if got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.text, got, test.want)
		}
	}
}

func describe(sections map[string]Section) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		var modules []string
		for _, m := range sections[name].Modules {
			text := " " + m.Class
			for _, option := range slices.Sorted(maps.Keys(m.Options)) {
				text += " " + option + "=" + string(m.Options[option])
			}
			modules = append(modules, text)
		}
		all = append(all, sections[name].Name+":"+strings.Join(modules, " |"))
	}
	return strings.Join(all, "; ")
}

func TestUsers(t *testing.T) {
	sections, err := Parse([]byte(`Server { a.b.C required user_bob="x" user_="y" username="z" debug=true; d.E optional user_eve="p" user_bob="q"; };`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := sections["Server"].Users(), map[string]Secret{"bob": "q", "": "y", "eve": "p"}; !maps.Equal(got, want) {
		t.Errorf("got %d users, want %d", len(got), len(want))
	}
}

func TestSecretsAreHidden(t *testing.T) {
	sections, err := Parse([]byte(`Server { a.b.C required user_bob="hunter2"; };`))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(sections)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "sections", sections)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "sections", sections)
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %s %q", sections, sections, sections, Secret("hunter2"), Secret("hunter2")), string(asJSON), log.String(),
	} {
		if strings.Contains(text, "hunter2") || !strings.Contains(text, "hidden") {
			t.Errorf("shown as %s", text)
		}
	}
}

// FuzzParse looks for configurations that are no errors and yet make no sense, and for secrets in errors.
func FuzzParse(f *testing.F) {
	for _, test := range readings {
		f.Add([]byte(test.text))
	}
	f.Add([]byte("Server { a.b.C required u=\"\\777\\\x00\"; };\r\r\n/"))
	f.Fuzz(func(t *testing.T, text []byte) {
		sections, err := Parse(text)
		var located *Error
		switch {
		case err != nil && (!errors.As(err, &located) || located.Line < 1 || located.Line > 1+strings.Count(string(text), "\n")+strings.Count(string(text), "\r")):
			t.Fatalf("%q: %v", text, err)
		case err != nil && sections != nil:
			t.Fatalf("%q: an error and %v", text, sections)
		}
		for name, s := range sections {
			if s.Name != name || s.Line < 1 {
				t.Fatalf("section %q is %+v", name, s)
			}
			for user := range s.Users() {
				found := slices.ContainsFunc(s.Modules, func(m Module) bool { _, ok := m.Options["user_"+user]; return ok })
				if !found {
					t.Fatalf("user %q comes from nowhere", user)
				}
			}
		}
	})
}
