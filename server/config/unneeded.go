package config

import (
	"slices"
	"strings"
)

// unneeded are keys of Apache ZooKeeper for which this server has nothing to set, with the reason that its users are told. A
// name that ends in "." or "_" stands for all that begin with it.
var unneeded = []struct {
	why   string
	names []string
}{
	{"this server has no pools of threads whose size could be set", []string{
		"nio.numSelectorThreads", "nio.numWorkerThreads", "commitProcessor.numWorkerThreads", "quorum.cnxn.threads.size",
	}},
	{"this server ends its goroutines without a time limit for each kind", []string{
		"nio.shutdownTimeout", "commitProcessor.shutdownTimeout",
	}},
	{"reads do not wait for writes of other sessions in this server, so that there are no batches to bound", []string{
		"commitProcessor.maxReadBatchSize", "commitProcessor.maxCommitBatchSize",
	}},
	{"buffers of this server grow with what they hold", []string{"nio.directBufferBytes", "intBufferStartingSizeBytes"}},
	{"this server encodes replies fast enough to do without a cache of them", []string{
		"maxResponseCacheSize", "maxGetChildrenResponseCacheSize",
	}},
	{"one implementation of the client port serves plain and TLS connections", []string{"serverCnxnFactory"}},
	{"this server does without Netty", []string{"netty."}},
	{"without a JVM there are no pauses of one to watch for", []string{
		"jvm.pause.monitor", "jvm.pause.info-threshold.ms", "jvm.pause.warn-threshold.ms", "jvm.pause.sleep.time.ms",
	}},
	{"this server has one table of watches, small and with persistent watches, which needs no cleaning in the background", []string{
		"watchManagerName", "watcherCleanThreadsNum", "watcherCleanThreshold", "watcherCleanIntervalInSeconds",
		"maxInProcessingDeadWatchers", "bitHashCacheSize",
	}},
	{"this server always closes and sends without waiting for the other side", []string{
		"learner.closeSocketAsync", "leader.closeSocketAsync", "learner.asyncSending",
	}},
	{"this server always hands requests of learners on by the shortest way", []string{
		"forward_learner_requests_to_commit_processor_disabled", "follower.skipLearnerRequestToNextProcessor",
	}},
	{"this server samples no latencies of acknowledgements", []string{"leader.ackLoggingFrequency"}},
	{"this server logs packets between members with --log-level debug instead of keeping the last ones", []string{
		"messageTracker.Enabled", "messageTracker.BufferSize",
	}},
	{"this server keeps no statistics by path; its metrics count requests by type", []string{"pathStats."}},
	{"there is no JMX without a JVM", []string{"jmx."}},
	{"this server writes its log to standard error, with the level that --log-level sets", []string{
		"log.dir", "log.file", "log.threshold", "root.logger", "console.threshold", "tracelog.", "auditlog.",
	}},
	{"a setting of clients, not of the server", []string{
		"clientCnxnSocket", "client.secure", "request.timeout", "disableAutoWatchReset", "sasl.client",
		"sasl.clientconfig", "sasl.client.username", "sasl.client.canonicalize.hostname", "server.principal",
		"server.realm", "hostProvider", "client.tcp.keepAlive",
	}},
	{"a setting for tests of Apache ZooKeeper alone", []string{"testingonly.", "test."}},
}

// whyUnneeded is the reason for which a key has no effect, "" for a key that is not unneeded.
func whyUnneeded(key string) string {
	for _, u := range unneeded {
		if slices.ContainsFunc(u.names, func(name string) bool {
			return key == name || (strings.HasSuffix(name, ".") || strings.HasSuffix(name, "_")) && strings.HasPrefix(key, name)
		}) {
			return u.why
		}
	}
	return ""
}
