package sasl

import (
	"errors"
	"strings"
	"testing"
)

// exchange is one that others have had: that of RFC 2831, and some between Java's client and Java's server.
type exchange struct {
	service, host  string
	user, password string
	nonce          string
	response       string // the client's token
	rspauth        string
}

const java = `charset=utf-8,username="$U",realm="zk-sasl-md5",nonce="$N",nc=00000001,cnonce="$C",` +
	`digest-uri="zookeeper/zk-sasl-md5",maxbuf=65536,response=$R,qop=auth,authzid="$U"`

func javas(user, password, quoted, nonce, cnonce, response, rspauth string) exchange {
	token := strings.NewReplacer("$U", quoted, "$N", nonce, "$C", cnonce, "$R", response).Replace(java)
	return exchange{"zookeeper", "zk-sasl-md5", user, password, nonce, token, rspauth}
}

var exchanges = []exchange{
	{"imap", "elwood.innosoft.com", "chris", "secret", "OA6MG9tEQGm2hh",
		`charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",` +
			`digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth`, "ea40f60335c427b5527b84dbabcdfffd"},
	javas("bob", "pw", "bob", "942jZurCr2byj1n2NROY4g1EOp7urRKpXH8uv9K1", "SNwyyu9NdV0gvIQyeOhf7KOsmogxRtSn4FyNhslk",
		"d9f03e3d27f08714173515333a136d5c", "68cb343fcb836b4ff0ac62a52506af67"),
	javas("bé", "pé", "bé", "cDz81USvploZsY2j4cFQJ3yz9si/DdpmtNMmfdLn", "Oixg0FVEtkXGr1ixUG8sriI4vLGvxU9V3TWbKZrR",
		"4fc944dd5f60f9942eeb7e104c42c0d2", "07f591462b2ee68df544d3e44ed7d96c"),
	javas("b€", "p€", "b€", "BHAMnIrchsvtaBJov0CMOXFxo1/m8KVo1EEqKzja", "WZ0hXBXjJMTDn9SNQK3s1C/RUbREU3b4PDAqV4wy",
		"36240ff2b8d6ce704ce4db6f15f0b4e5", "42d65063b2701af7e817c5719c8983aa"),
	javas("bé", "p€", "bé", "awZ2vXpjM/Ko3cXv98LKg7Dn0w9WIWzRXzTs9V1J", "GJrBoJzqtpXceZhaqHhsXqA5FBg4pqSylcONn5lZ",
		"60e907d99a5812f9b73aab1bee215db2", "050d9a1deabc5352475bc99b11b4f653"),
	javas(`q"\u`, "x", `q\"\\u`, "Jtl5m7gcdZeFqyMJqAvjr38iNT7jJGNLYHPNvouP", "Fp8GrLBrOprd1B709rUNlxA2f7ulvvltiJ73IktQ",
		"046dca621039ca16adbd62957884024d", "1ebdfba0808c4d4c1707328828d5c3e2"),
}

// server is one that waits for the response of an exchange.
func (e exchange) server(t testing.TB) *Server {
	t.Helper()
	s := NewServer(e.service, e.host, e.nonce, func(user string) (string, bool) { return e.password, user == e.user })
	challenge, err := s.Respond(nil)
	if want := `realm="` + e.host + `",nonce="` + e.nonce + `",charset=utf-8,algorithm=md5-sess`; err != nil || string(challenge) != want {
		t.Fatalf("the challenge is %s, %v", challenge, err)
	}
	return s
}

func TestExchangesOfOthers(t *testing.T) {
	for _, e := range exchanges {
		s := e.server(t)
		answer, err := s.Respond([]byte(e.response))
		if err != nil || string(answer) != "rspauth="+e.rspauth || !s.Done() || s.User() != e.user || s.Authorization() != e.user {
			t.Errorf("%s: %s, %v, user %q", e.user, answer, err, s.User())
		}
		if _, err := s.Respond([]byte(e.response)); !errors.Is(err, ErrOver) || !s.Done() {
			t.Errorf("%s: once more: %v", e.user, err)
		}
		d, err := parse([]byte(e.response))
		if err != nil {
			t.Fatal(err)
		}
		c := NewClient(e.service, e.host, e.user, e.password, d["cnonce"])
		c.authzid = d["authzid"]
		if _, err := c.Respond([]byte(`realm="` + e.host + `",nonce="` + e.nonce + `",qop="auth",algorithm=md5-sess,charset=utf-8`)); err != nil {
			t.Fatal(err)
		}
		if got := c.of("AUTHENTICATE"); got != d["response"] {
			t.Errorf("%s: the client computes %s", e.user, got)
		}
		if rest, err := c.Respond(answer); err != nil || rest != nil || !c.Done() {
			t.Errorf("%s: the client says %s, %v", e.user, rest, err)
		}
	}
}

// TestClient lets both sides speak with each other; each must notice that the other knows another password.
func TestClient(t *testing.T) {
	for _, test := range []struct {
		user, client, server string
		want                 error
	}{
		{"bob", "pw", "pw", nil}, {"bé", "é€", "é€", nil}, {`a"b\c, d=e`, ` ",\`, ` ",\`, nil}, {"bob", "", "", nil},
		{"bob", "pw", "other", ErrRefused}, {"eve", "pw", "pw", ErrRefused},
	} {
		s := NewServer("zookeeper-quorum", "zk-quorum-sasl-md5", "nonce", func(user string) (string, bool) { return test.server, user != "eve" })
		c := NewClient("zookeeper-quorum", "zk-quorum-sasl-md5", test.user, test.client, "cnonce")
		challenge, err := s.Respond(nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := c.Respond(challenge)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := s.Respond(response)
		if !errors.Is(err, test.want) || s.Done() != (test.want == nil) {
			t.Errorf("%s: the server says %v", test.user, err)
		}
		if err != nil {
			continue
		}
		if _, err := c.Respond(proof); err != nil || !c.Done() || s.User() != test.user {
			t.Errorf("%s: the client says %v", test.user, err)
		}
	}
	c := NewClient("zookeeper", "h", "bob", "pw", "cnonce")
	if _, err := c.Respond([]byte(`realm="h",nonce="n",algorithm=md5-sess`)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Respond([]byte("rspauth=0123")); !errors.Is(err, ErrRefused) || c.Done() {
		t.Errorf("a server that knows nothing: %v", err)
	}
	if _, err := c.Respond([]byte("rspauth=0123")); !errors.Is(err, ErrOver) {
		t.Errorf("after the end: %v", err)
	}
	for challenge, want := range map[string]error{`realm="h",algorithm=md5-sess`: ErrToken, `nonce="n",algorithm=md5`: ErrRefused, `"`: ErrToken} {
		if _, err := NewClient("zookeeper", "h", "bob", "pw", "cnonce").Respond([]byte(challenge)); !errors.Is(err, want) {
			t.Errorf("%s: %v", challenge, err)
		}
	}
}

// What Java's server makes of these tokens was tried with it; test/interop does so again.
func TestResponses(t *testing.T) {
	e := exchanges[1]
	for _, test := range []struct {
		name, from, to string
		want           error
	}{
		{"no change", "", "", nil},
		{"blanks", ",nc", " \t,\r\n nc", nil},
		{"blanks around =", "nc=", "nc = ", nil},
		{"names in capitals", "nonce=", "NONCE=", nil},
		{"token in quotes", "nc=00000001", `nc="00000001"`, nil},
		{"unknown directive", "qop=auth", `qop=auth,x="y",z=1`, nil},
		{"no qop", ",qop=auth", "", nil},
		{"no charset", "charset=utf-8,", "", nil},
		{"wrong response", "response=d9", "response=da", ErrRefused},
		{"short response", "response=d9", "response=", ErrToken},
		{"no response", ",response=d9f03e3d27f08714173515333a136d5c", "", ErrToken},
		{"other user", `username="bob"`, `username="eve"`, ErrRefused},
		{"no user", `username="bob",`, "", ErrToken},
		{"empty user", `username="bob"`, `username=""`, ErrToken},
		{"other realm", `realm="zk-sasl-md5"`, `realm="x"`, ErrRefused},
		{"no realm", `realm="zk-sasl-md5",`, "", ErrRefused},
		{"other nonce", `nonce="94`, `nonce="95`, ErrRefused},
		{"no nonce", `nonce="942jZurCr2byj1n2NROY4g1EOp7urRKpXH8uv9K1",`, "", ErrRefused},
		{"second use", "nc=00000001", "nc=00000002", nil},
		{"no count", "nc=00000001,", "", nil},
		{"no cnonce", `cnonce="SNwyyu9NdV0gvIQyeOhf7KOsmogxRtSn4FyNhslk",`, "", ErrToken},
		{"other service", "zookeeper/zk", "imap/zk", ErrRefused},
		{"other host", "zookeeper/zk-sasl-md5", "zookeeper/x", ErrRefused},
		{"integrity", "qop=auth", "qop=auth-int", ErrRefused},
		{"other authzid", `authzid="bob"`, `authzid="eve"`, ErrRefused},
		{"count twice", "nc=00000001", "nc=00000001,nc=00000002", nil},
		{"twice", "qop=auth", "qop=auth,qop=auth", ErrToken},
		{"no number", "maxbuf=65536", "maxbuf=x", ErrToken},
		{"other characters", "charset=utf-8", "charset=latin-1", ErrRefused},
		{"open quote", `authzid="bob"`, `authzid="bob`, ErrToken},
		{"text behind a quote", `username="bob"`, `username="bob"x`, ErrToken},
		{"no value", "charset=utf-8,", "charset,", ErrToken},
		{"no name", "charset=utf-8,", "=utf-8,", ErrToken},
	} {
		s := e.server(t)
		token := strings.Replace(e.response, test.from, test.to, 1)
		if test.name != "no change" && token == e.response {
			t.Fatalf("%s: nothing is changed", test.name)
		}
		_, err := s.Respond([]byte(token))
		if !errors.Is(err, test.want) || s.Done() != (test.want == nil) {
			t.Errorf("%s: %v", test.name, err)
		}
		if err != nil && strings.Contains(err.Error(), e.password) {
			t.Errorf("%s: %v tells the password", test.name, err)
		}
	}
}

// The first token does not matter, and one that is too long is as good as none.
func TestFirstToken(t *testing.T) {
	e := exchanges[1]
	for _, first := range []string{"", "x", strings.Repeat("x", MaxTokenBytes)} {
		s := NewServer(e.service, e.host, e.nonce, func(string) (string, bool) { return e.password, true })
		if _, err := s.Respond(make([]byte, MaxTokenBytes+1)); !errors.Is(err, ErrToken) {
			t.Errorf("a long token: %v", err)
		}
		if _, err := s.Respond([]byte(first)); err != nil {
			t.Errorf("%.20s: %v", first, err)
		}
		if _, err := s.Respond(make([]byte, MaxTokenBytes+1)); !errors.Is(err, ErrToken) {
			t.Errorf("a long token: %v", err)
		}
		if _, err := s.Respond([]byte(e.response)); err != nil || !s.Done() {
			t.Errorf("%.20s: then %v", first, err)
		}
	}
}

// FuzzServer sends any token in the place of the response: without the password none is accepted.
func FuzzServer(f *testing.F) {
	for _, e := range exchanges {
		f.Add([]byte(e.response))
	}
	f.Add([]byte(`a=b,,c = "d\"" , e=`))
	f.Fuzz(func(t *testing.T, token []byte) {
		e := exchanges[1]
		s := e.server(t)
		s.password = func(string) (string, bool) { return "hunter2", true }
		answer, err := s.Respond(token)
		if err == nil || answer != nil || s.Done() {
			t.Fatalf("accepted %q with %q", token, answer)
		}
		if strings.Contains(err.Error(), "hunter2") && !strings.Contains(string(token), "hunter2") {
			t.Fatalf("%v tells the password", err)
		}
		d, err := parse(token)
		if err != nil {
			return
		}
		// What was read can be written and read again.
		var b strings.Builder
		for name, value := range d {
			b.WriteString(name + `="` + quote(value) + `",`)
		}
		again, err := parse([]byte(b.String()))
		if err != nil || len(again) != len(d) {
			t.Fatalf("%q is read as %v, and again as %v, %v", token, d, again, err)
		}
	})
}

// FuzzClient sends any token in the place of the challenge and of the server's proof.
func FuzzClient(f *testing.F) {
	f.Add([]byte(`realm="h",nonce="n",charset=utf-8,algorithm=md5-sess`), []byte("rspauth=0"))
	f.Add([]byte(`nonce="\"",algorithm=md5-sess`), []byte(`"`))
	f.Fuzz(func(t *testing.T, challenge, proof []byte) {
		c := NewClient("zookeeper", "h", "bob", "hunter2", "cnonce")
		response, err := c.Respond(challenge)
		if err != nil {
			return
		}
		if strings.Contains(string(response), "hunter2") && !strings.Contains(string(challenge), "hunter2") {
			t.Fatalf("%q tells the password", response)
		}
		if _, err := parse(response); err != nil {
			t.Fatalf("%q cannot be read: %v", response, err)
		}
		if _, err := c.Respond(proof); err == nil || c.Done() {
			t.Fatalf("%q is a proof", proof)
		}
	})
}
