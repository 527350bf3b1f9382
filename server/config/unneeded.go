package config

import "slices"

// unneeded are keys of Apache ZooKeeper for which this server has nothing to set, with the reason that its users are told.
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
	{"this server does without Netty", []string{"netty.advancedFlowControl.enabled"}},
	{"this server has one implementation of TLS", []string{"ssl.sslProvider"}},
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
	{"this server logs packets between members with --log-level debug instead of keeping the last ones", []string{
		"messageTracker.Enabled", "messageTracker.BufferSize",
	}},
	{"this server keeps no statistics by path; its metrics count requests by type", []string{
		"pathStats.enabled", "pathStats.slotCapacity", "pathStats.slotDuration", "pathStats.maxDepth",
		"pathStats.sampleRate", "pathStats.initialDelay", "pathStats.delay", "pathStats.topPathMax",
	}},
	{"this server speaks the version of HTTP that its clients do", []string{"admin.httpVersion"}},
	{"a follower of this server brings its observers up to date from its history", []string{"observerMaster.sizeLimit"}},
	{"requests that wait when this server stops are dropped at once", []string{"request_throttler.shutdownTimeout"}},
	{"this server writes its metrics when it is asked for them, without threads or queues of their own", []string{
		"metricsProvider.numWorkerThreads", "metricsProvider.maxQueueSize", "metricsProvider.workerShutdownTimeoutMs",
	}},
	{"there is no JMX without a JVM", []string{"jmx.log4j.disable", "jmx.log4j.mbean"}},
	{"this server writes its log to standard error, with the level that --log-level sets", []string{
		"log.file", "log.threshold", "log.maxfilesize", "log.maxbackupindex", "root.logger", "console.threshold",
		"tracelog.dir", "tracelog.file", "audit.logger",
	}},
	{"a setting of clients, not of the server", []string{
		"clientCnxnSocket", "client.secure", "request.timeout", "disableAutoWatchReset", "sasl.client",
		"sasl.clientconfig", "sasl.client.username", "sasl.client.canonicalize.hostname", "server.principal",
		"server.realm",
	}},
	{"a setting of Kerberos, which this server does not support", []string{
		"kerberos.removeHostFromPrincipal", "kerberos.removeRealmFromPrincipal", "kerberos.canonicalizeHostNames",
		"kerberos.minReLoginTimeMs", "security.auth_to_local", "quorum.auth.kerberos.servicePrincipal",
	}},
	{"this server starts no other programs", []string{"kinit"}},
	{"a setting for tests of Apache ZooKeeper alone", []string{"testingonly.initialZxid", "test.allowDiscontinuousProposals"}},
}

// whyUnneeded is the reason for which a key has no effect, "" for a key that is not unneeded.
func whyUnneeded(key string) string {
	for _, u := range unneeded {
		if slices.Contains(u.names, key) {
			return u.why
		}
	}
	return ""
}
