package admin

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
)

func TestJSON(t *testing.T) {
	o := object{
		{"text", "a\"b\\c\n\r\t\b\f\x01\x1f/<ü\xff"}, {"none", nil}, {"yes", true}, {"long", int64(-1)}, {"int", 7},
		{"mean", 1.5}, {"zero", 0.0}, {"many", 1e7}, {"nothing", math.NaN()}, {"empty", object{}}, {"no list", []object{}},
		{"paths", []string{"/a", "/b"}}, {"ids", []int64{1}}, {"conns", []object{{{"a", 1}}, {{"b", object{{"c", 2}}}}}},
	}
	want := `{
  "text" : "a\"b\\c\n\r\t\b\f\u0001\u001F/<ü�",
  "none" : null,
  "yes" : true,
  "long" : -1,
  "int" : 7,
  "mean" : 1.5,
  "zero" : 0.0,
  "many" : 1.0E7,
  "nothing" : "NaN",
  "empty" : { },
  "no list" : [ ],
  "paths" : [ "/a", "/b" ],
  "ids" : [ 1 ],
  "conns" : [ {
    "a" : 1
  }, {
    "b" : {
      "c" : 2
    }
  } ]
}`
	got := appendJSON(nil, o, 0)
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if !json.Valid(got) {
		t.Error("it is no JSON")
	}
	o.set("yes", false)
	o.set("new", "x")
	if o[2].value != false || o[len(o)-1].name != "new" {
		t.Errorf("after set: %v", o)
	}
}

func FuzzJSONString(f *testing.F) {
	for _, seed := range []string{"", "a\x00b", "\xff\xfe", "\u2028", `\"`, "\U0001F600"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got, want string
		if err := json.Unmarshal(appendJSONString(nil, s), &got); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is read back as %q, want %q", s, got, want)
		}
	})
}
