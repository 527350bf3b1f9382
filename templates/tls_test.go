package templates

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/zkctl/zkctl/inventory"
)

// Each stage writes the settings from which it is read again, and none of another stage.
func TestStages(t *testing.T) {
	inv, err := inventory.Parse("inventory.yaml", []byte(`
name: lab
tls: {client: required, quorum: on, client_auth: want}
zoo_cfg: {clientPortAddress: 10.0.0.11}
zoo_cfg_extra: {ssl.quorum.clientHostnameVerification: false}
hosts: [{name: a, address: 10.0.0.11, id: 1}]
`))
	if err != nil {
		t.Fatal(err)
	}
	stores := func(prefix string) []string {
		return []string{prefix + "keyStore.location=/etc/zookeeper/tls/server.pem", prefix + "keyStore.type=PEM",
			prefix + "trustStore.location=/etc/zookeeper/tls/trust.pem", prefix + "trustStore.type=PEM"}
	}
	plain := []string{"clientPort=2181", "clientPortAddress=10.0.0.11"}
	secure := append(stores("ssl."), "ssl.clientAuth=want", "secureClientPort=2281", "secureClientPortAddress=10.0.0.11", "client.certReload=true")
	quorum := func(speaks, both string) []string {
		return append(stores("ssl.quorum."), "sslQuorumReloadCertFiles=true", "sslQuorum="+speaks, "portUnification="+both)
	}
	clients := [][]string{plain, slices.Concat(plain, secure), secure}
	quorums := [][]string{nil, quorum("false", "true"), quorum("true", "true"), quorum("true", "false")}
	for c := range clients {
		for q := range quorums {
			stage := Stage{Client: c, Quorum: q}
			m := Member{Ensemble: inv, Host: inv.Hosts[0], TLS: &stage}
			got := map[string]string{}
			for _, s := range m.Settings() {
				got[s.Key] = s.Value
			}
			if read := StageOf(got); read != stage {
				t.Errorf("%v is read as %v", stage, read)
			}
			if got["ssl.quorum.clientHostnameVerification"] != "false" {
				t.Errorf("%v: what the inventory says is lost", stage)
			}
			want := map[string]bool{}
			for _, line := range append(slices.Clone(clients[c]), quorums[q]...) {
				want[line] = true
			}
			for key, value := range maps.All(got) {
				line := fmt.Sprintf("%s=%s", key, value)
				about := strings.Contains(key, "ssl.") || strings.Contains(key, "Port") || strings.HasPrefix(key, "ssl") || strings.HasPrefix(key, "portU") || strings.HasPrefix(key, "client.")
				if about && !want[line] && key != "ssl.quorum.clientHostnameVerification" && key != "metricsProvider.httpPort" {
					t.Errorf("%v: too much: %s", stage, line)
				}
				delete(want, line)
			}
			for line := range want {
				t.Errorf("%v: missing: %s", stage, line)
			}
		}
	}
	if got := (Member{Ensemble: inv, Host: inv.Hosts[0]}).Stage(); got != (Stage{ClientTLS, QuorumTLS}) {
		t.Errorf("the inventory wants %v", got)
	}
}
