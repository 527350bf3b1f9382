package inventory

import (
	"fmt"
	"strings"
	"testing"
)

// Names that are taken for something else, or that do not fit where they are written.
func TestNamesThatMeanSomethingElse(t *testing.T) {
	for name, problem := range map[string]string{
		"zk1":       "",
		"1st":       "",
		"rack.z9":   "",
		"10.0.0.9":  "what ends with a number is taken for an IP address",
		"101":       "what ends with a number is taken for an IP address",
		"localhost": "is each host's name for itself",
	} {
		_, err := Parse("i.yaml", []byte(fmt.Sprintf("name: lab\nhosts: [{name: %q, address: 10.0.0.1, id: 1}]\n", name)))
		if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, fits := range map[string]bool{strings.Repeat("n", 64): true, strings.Repeat("n", 65): false} {
		if _, err := Parse("i.yaml", []byte("name: "+name+"\nhosts: [{name: a, address: 10.0.0.1, id: 1}]\n")); (err == nil) != fits {
			t.Errorf("the name %s: %v", name, err)
		}
	}
}
