// Package apache knows the releases of Apache ZooKeeper: how an archive of one is laid out, what its jars are, which Java
// it wants, and which settings of zoo.cfg came with which version.
//
// Not here: bringing a release to a host and running it; see packages provision and templates.
package apache

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is a release's number.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads a number such as 3.8.0, and ignores what follows it, as in 3.8.0-11+deb12u2.
func ParseVersion(text string) (Version, error) {
	number, _, _ := strings.Cut(text, "-")
	number, _, _ = strings.Cut(number, "+")
	parts := strings.Split(number, ".")
	var v Version
	if len(parts) < 3 {
		return v, fmt.Errorf("%q is no version of Apache ZooKeeper", text)
	}
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch} {
		n, err := strconv.Atoi(parts[i])
		if err != nil {
			return Version{}, fmt.Errorf("%q is no version of Apache ZooKeeper", text)
		}
		*into = n
	}
	return v, nil
}

// String is the number with its dots.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// Before reports whether v is older than the release of these numbers.
func (v Version) Before(major, minor, patch int) bool {
	switch {
	case v.Major != major:
		return v.Major < major
	case v.Minor != minor:
		return v.Minor < minor
	}
	return v.Patch < patch
}

// MinJava is the oldest Java, by its feature number, that runs the release; see the section on required software of each
// release's administrator's guide.
func (v Version) MinJava() int {
	if v.Before(3, 5, 0) {
		return 6
	}
	return 8
}

// JavaFeature is the feature number of a version as java -version shows it: 8 for 1.8.0_292, 17 for 17.0.15. 0 is none.
func JavaFeature(version string) int {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) > 1 && parts[0] == "1" {
		parts = parts[1:]
	}
	if len(parts) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(parts[0])
	return n
}

// PrometheusProvider is the class name of the provider of metrics that is a jar of its own.
const PrometheusProvider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"

// Knows reports whether the release looks at a setting of zoo.cfg; since is the first that does. Settings that this
// package has not heard of are taken for known: Apache ZooKeeper makes system properties of them.
func (v Version) Knows(key string) (since Version, known bool) {
	if strings.HasPrefix(key, "metricsProvider.") {
		key = "metricsProvider."
	} else if strings.HasPrefix(key, "admin.") && settingsSince[key] == (Version{}) {
		key = "admin."
	} else if strings.HasPrefix(key, "ssl.") {
		key = "ssl."
	}
	since, listed := settingsSince[key]
	return since, !listed || !v.Before(since.Major, since.Minor, since.Patch)
}

// settingsSince are the settings that did not exist in 3.4.8, with the release that brought them, by the administrator's
// guides. A key that ends with a dot stands for all that begin with it.
var settingsSince = map[string]Version{
	"standaloneEnabled": {3, 5, 0}, "localSessionsEnabled": {3, 5, 0}, "localSessionsUpgradingEnabled": {3, 5, 0},
	"admin.": {3, 5, 0}, "reconfigEnabled": {3, 5, 3}, "tcpKeepAlive": {3, 5, 4}, "extendedTypesEnabled": {3, 5, 4},
	"ssl.": {3, 5, 1}, "secureClientPort": {3, 5, 1}, "secureClientPortAddress": {3, 5, 1},
	"sslQuorum": {3, 5, 5}, "portUnification": {3, 5, 5}, "sslQuorumReloadCertFiles": {3, 5, 5},
	"clientPortListenBacklog": {3, 5, 5}, "snapshot.trust.empty": {3, 5, 6}, "jute.maxbuffer.extrasize": {3, 5, 7},
	"watchManagerName": {3, 6, 0}, "digest.enabled": {3, 6, 0}, "snapshot.compression.method": {3, 6, 0}, "maxCnxns": {3, 6, 0},
	"leader.maxTimeToWaitForEpoch": {3, 6, 0}, "multiAddress.enabled": {3, 6, 0}, "multiAddress.reachabilityCheckEnabled": {3, 6, 0},
	"multiAddress.reachabilityCheckTimeoutMs": {3, 6, 0}, "znode.container.maxNeverUsedIntervalMs": {3, 6, 0},
	"flushDelay": {3, 6, 0}, "maxBatchSize": {3, 6, 0}, "maxWriteQueuePollTime": {3, 6, 0}, "snapSizeLimitInKb": {3, 6, 0},
	"connection_throttle_tokens": {3, 6, 0}, "connection_throttle_fill_time": {3, 6, 0}, "connection_throttle_fill_count": {3, 6, 0},
	"request_throttle_max_requests": {3, 6, 0}, "metricsProvider.": {3, 6, 0}, "clientTcpKeepAlive": {3, 6, 1},
	"enforceQuota": {3, 7, 0}, "learner.asyncSending": {3, 7, 0}, "learner.closeSocketAsync": {3, 7, 0}, "leader.closeSocketAsync": {3, 7, 0},
	"DigestAuthenticationProvider.digestAlg": {3, 7, 0}, "DigestAuthenticationProvider.enabled": {3, 7, 0},
	"admin.snapshot.enabled": {3, 9, 0}, "admin.restore.enabled": {3, 9, 0}, "admin.rateLimiterIntervalInMS": {3, 9, 0},
	"serializeLastProcessedZxid.enabled": {3, 9, 0}, "enableEagerACLCheck": {3, 8, 0},
}
