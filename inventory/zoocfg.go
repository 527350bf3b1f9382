package inventory

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/zkctl/zkctl/spelling"
)

// zooCfgKeys are the keys that may stand in zoo_cfg, with the kind of their value. Anything else goes in
// zoo_cfg_extra, which is copied as it is. The names are those of Apache ZooKeeper's administrator's guide.
var zooCfgKeys = map[string]string{
	"tickTime": "positive", "initLimit": "positive", "syncLimit": "positive", "connectToLearnerMasterLimit": "number",
	"minSessionTimeout": "number", "maxSessionTimeout": "number", "maxClientCnxns": "number", "maxCnxns": "number",
	"clientPortAddress": "text", "clientPortListenBacklog": "number", "quorumListenOnAllIPs": "bool", "syncEnabled": "bool",
	"electionAlg": "number", "cnxTimeout": "number", "electionPortBindRetry": "number", "tcpKeepAlive": "bool",
	"clientTcpKeepAlive": "bool", "leaderServes": "yesno", "standaloneEnabled": "bool", "reconfigEnabled": "bool",
	"autopurge.snapRetainCount": "number", "autopurge.purgeInterval": "number",
	"localSessionsEnabled": "bool", "localSessionsUpgradingEnabled": "bool",
	"preAllocSize": "number", "snapCount": "positive", "snapSizeLimitInKb": "number", "txnLogSizeLimitInKb": "number",
	"commitLogCount": "number", "snapshotSizeFactor": "decimal", "forceSync": "yesno", "flushDelay": "number",
	"maxBatchSize": "number", "maxWriteQueuePollTime": "number", "fsync.warningthresholdms": "number",
	"snapshot.compression.method": "text", "snapshot.trust.empty": "bool", "digest.enabled": "bool",
	"serializeLastProcessedZxid.enabled": "bool", "closeSessionTxn.enabled": "bool",
	"datadir.autocreate": "bool", "db.autocreate": "bool",
	"jute.maxbuffer": "positive", "jute.maxbuffer.extrasize": "number", "globalOutstandingLimit": "number",
	"enforceQuota": "bool", "skipACL": "yesno", "extendedTypesEnabled": "bool", "readonlymode.enabled": "bool",
	"admin.enableServer": "bool", "admin.serverPort": "number", "admin.serverAddress": "text",
	"admin.commandURL": "text", "admin.idleTimeout": "number", "admin.rateLimiterIntervalInMS": "number",
	"admin.snapshot.enabled": "bool", "admin.restore.enabled": "bool",
	"znode.container.checkIntervalMs": "number", "znode.container.maxPerMinute": "number",
	"znode.container.maxNeverUsedIntervalMs":     "number",
	"DigestAuthenticationProvider.superDigest":   "text",
	"fastleader.minNotificationInterval":         "number",
	"fastleader.maxNotificationInterval":         "number",
	"multiAddress.enabled":                       "bool",
	"multiAddress.reachabilityCheckEnabled":      "bool",
	"multiAddress.reachabilityCheckTimeoutMs":    "number",
	"nio.sessionlessCnxnTimeout":                 "number",
	"leader.maxConcurrentSnapSyncs":              "number",
	"leader.maxConcurrentDiffSyncs":              "number",
	"observer.reconnectDelayMs":                  "number",
	"observer.election.DelayMs":                  "number",
	"request_throttle_max_requests":              "number",
	"connection_throttle_tokens":                 "number",
	"connection_throttle_fill_time":              "number",
	"connection_throttle_fill_count":             "number",
	"quorumCnxnTimeoutMs":                        "number",
	"enableEagerACLCheck":                        "bool",
	"watchManagerName":                           "text",
	"learner.asyncSending":                       "bool",
	"learner.closeSocketAsync":                   "bool",
	"leader.closeSocketAsync":                    "bool",
	"skipLearnerRequestToNextProcessor":          "bool",
	"follower.skipLearnerRequestToNextProcessor": "bool",
	"IPAuthenticationProvider.usexforwardedfor":  "bool",
	"DigestAuthenticationProvider.digestAlg":     "text",
	"DigestAuthenticationProvider.enabled":       "bool",
	"leader.maxTimeToWaitForEpoch":               "number",
	"leaderConnectDelayDuringRetryMs":            "number",
	"metricsProvider.exportJvmInfo":              "bool",
	"peerType":                                   "ours:role of the host",
	"dataDir":                                    "ours:server.paths.data",
	"dataLogDir":                                 "ours:server.paths.txn_log",
	"clientPort":                                 "ours:server.ports.client",
	"4lw.commands.whitelist":                     "ours:server.four_letter_words",
	"metricsProvider.httpPort":                   "ours:server.ports.metrics",
	"metricsProvider.className":                  "ours:server.ports.metrics",
}

// IsSecret reports whether a setting of zoo.cfg has a value that must not be shown.
func IsSecret(key string) bool {
	key = strings.ToLower(key)
	return strings.HasSuffix(key, "password") || strings.HasSuffix(key, "passwd") || strings.Contains(key, "secret") ||
		strings.Contains(key, "superdigest")
}

// checkZooCfg checks one zoo.cfg setting against zooCfgKeys and reports whether it may be used. section is zoo_cfg or
// zoo_cfg_extra.
func (d *decoder) checkZooCfg(section string, k, val *yaml.Node, s string) bool {
	full := section + "." + k.Value
	kind, known := zooCfgKeys[k.Value]
	if strings.HasPrefix(k.Value, "server.") || strings.HasPrefix(k.Value, "dynamicConfig") {
		d.problem(k, "%s: zkctl writes this itself, from the list of hosts", full)
		return false
	}
	for _, part := range []string{"group", "weight"} {
		if strings.HasPrefix(k.Value, part+".") {
			d.problem(k, "%s: zkctl writes this itself; set %s of the hosts instead", full, part)
			return false
		}
	}
	if where, ours := strings.CutPrefix(kind, "ours:"); ours {
		d.problem(k, "%s: zkctl writes this itself; set %s instead", full, where)
		return false
	}
	if k.Value == "" || strings.ContainsAny(k.Value, " \t\r\n\\=:#!") {
		d.problem(k, "%s: not a possible key of zoo.cfg", full)
		return false
	}
	if section == "zoo_cfg_extra" {
		return true
	}
	if !known {
		near := spelling.Nearest(k.Value, sortedKeys(zooCfgKeys))
		if near != "" {
			d.problem(k, "%s: unknown zoo.cfg key; did you mean %q? (keys that zkctl does not know go in zoo_cfg_extra)", full, near)
		} else {
			d.problem(k, "%s: unknown zoo.cfg key; keys that zkctl does not know go in zoo_cfg_extra", full)
		}
		return false
	}
	if want, ok := wellFormed(kind, s); !ok {
		d.problem(val, "%s: must be %s, not %q", full, want, s)
		return false
	}
	return true
}

// wellFormed says whether s is of the kind, and what the kind is called.
func wellFormed(kind, s string) (want string, ok bool) {
	switch kind {
	case "positive":
		n, err := strconv.Atoi(s)
		return "a whole number above 0", err == nil && n > 0
	case "number":
		_, err := strconv.Atoi(s)
		return "a whole number", err == nil
	case "decimal":
		_, err := strconv.ParseFloat(s, 64)
		return "a number", err == nil
	case "bool":
		return "true or false", s == "true" || s == "false"
	case "yesno":
		// YAML readers know "yes" as true, so both spellings arrive here.
		return `"yes" or "no"`, s == "yes" || s == "no"
	}
	return "", true
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
