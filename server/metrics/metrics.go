// Package metrics is what a server measures, under the names of org.apache.zookeeper.server.ServerMetrics, so that
// dashboards and alarms made for Apache ZooKeeper understand it. It measures nothing itself and shows nothing: others
// add, and package admin renders.
//
// Adding is cheap and never waits, from any goroutine. Every name of Apache ZooKeeper 3.8 is here; what cannot happen in
// this server stays 0 and says so. Gauges are not here: they are read from the server when somebody asks.
package metrics

import (
	"reflect"
	"strings"
)

// Metrics are all counters and summaries of one server; see New. The fields need no further comment than their help
// texts, which exporters show.
type Metrics struct {
	// Disk.
	FsyncTime                      Summary `metric:"fsynctime" show:"ms" help:"fsyncs of the txn log"`
	SnapshotTime                   Summary `metric:"snapshottime" show:"ms" help:"writing a snapshot"`
	SnapshotErrorCount             Counter `metric:"snapshot_error_count" help:"snapshots for the admin command that failed"`
	SnapshotRateLimitedCount       Counter `metric:"snapshot_rate_limited_count" help:"snapshots for the admin command that were refused because the last one was too recent"`
	RestoreTime                    Summary `metric:"restore_time" show:"ms" help:"restoring a snapshot for the admin command"`
	RestoreErrorCount              Counter `metric:"restore_error_count" help:"restorations for the admin command that failed"`
	RestoreRateLimitedCount        Counter `metric:"restore_rate_limited_count" help:"restorations for the admin command that were refused because the last one was too recent"`
	DBInitTime                     Summary `metric:"dbinittime" show:"ms" help:"reading the state from the disk"`
	StartupTxnsLoaded              Summary `metric:"startup_txns_loaded" help:"txns read from the log at the start"`
	StartupTxnsLoadTime            Summary `metric:"startup_txns_load_time" show:"ms" help:"reading them"`
	StartupSnapLoadTime            Summary `metric:"startup_snap_load_time" show:"ms" help:"reading a snapshot at the start"`
	SyncProcessorQueueSize         Summary `metric:"sync_processor_queue_size" help:"storage effects that wait for the disk, when it has become free"`
	SyncProcessorRequestQueued     Counter `metric:"sync_processor_request_queued" help:"txns appended to the log"`
	SyncProcessorQueueTime         Summary `metric:"sync_processor_queue_time_ms" show:"advanced,ms" help:"txns from being queued to being written"`
	SyncProcessorQueueFlushTime    Summary `metric:"sync_processor_queue_flush_time_ms" show:"advanced,ms" help:"syncs of the log"`
	SyncProcessorQueueAndFlushTime Summary `metric:"sync_processor_queue_and_flush_time_ms" show:"advanced,ms" help:"txns from being queued to being durable"`
	SyncProcessTime                Summary `metric:"sync_process_time" show:"ms" help:"writing one txn to the log, without the sync"`
	SyncProcessorBatchSize         Summary `metric:"sync_processor_batch_size" help:"txns that share one sync"`

	// Requests.
	ReadLatency                          Summary    `metric:"readlatency" show:"advanced,ms" help:"from the arrival of a request to its answer, of what makes no txn"`
	UpdateLatency                        Summary    `metric:"updatelatency" show:"advanced,ms" help:"the same of what makes a txn"`
	PropagationLatency                   Summary    `metric:"propagation_latency" show:"advanced,ms" help:"from the making of a txn, by the clock of the leader, to its being applied here"`
	BytesReceivedCount                   Counter    `metric:"bytes_received_count" help:"bytes from clients"`
	ResponseBytes                        Counter    `metric:"response_bytes" help:"bytes of answers to clients"`
	WatchBytes                           Counter    `metric:"watch_bytes" help:"bytes of watch events to clients"`
	ReadPerNamespace                     SummarySet `metric:"read_per_namespace" help:"bytes of a read (path, data, stat), by the first part of the path"`
	WritePerNamespace                    SummarySet `metric:"write_per_namespace" help:"bytes of a write (path, data), by the first part of the path"`
	QuotaExceededErrorPerNamespace       CounterSet `metric:"quota_exceeded_error_per_namespace" help:"writes refused for a quota, by the first part of the path"`
	ReadFinalProcTime                    Summary    `metric:"read_final_proc_time_ms" show:"advanced,ms" help:"answering a read from the tree; one read in 64 is measured"`
	WriteFinalProcTime                   Summary    `metric:"write_final_proc_time_ms" show:"advanced,ms" help:"applying a txn and answering it"`
	ResponsePacketCacheHits              Counter    `metric:"response_packet_cache_hits" help:"answers from a cache" never:"there is no cache of answers"`
	ResponsePacketCacheMisses            Counter    `metric:"response_packet_cache_misses" help:"answers that were not in the cache" never:"there is no cache of answers"`
	ResponsePacketGetChildrenCacheHits   Counter    `metric:"response_packet_get_children_cache_hits" help:"lists of children from a cache" never:"there is no cache of answers"`
	ResponsePacketGetChildrenCacheMisses Counter    `metric:"response_packet_get_children_cache_misses" help:"lists of children that were not in the cache" never:"there is no cache of answers"`
	ThrottledOps                         Counter    `metric:"throttled_ops" help:"requests answered with THROTTLEDOP"`
	StaleRequests                        Counter    `metric:"stale_requests" help:"requests whose connection had ended, or that had waited too long, before they were handled"`
	StaleRequestsDropped                 Counter    `metric:"stale_requests_dropped" help:"those of them that were dropped"`
	StaleReplies                         Counter    `metric:"stale_replies" help:"answers to such requests" never:"nobody is answered whose connection has ended"`
	RequestThrottleQueueTime             Summary    `metric:"request_throttle_queue_time_ms" show:"advanced,ms" help:"requests waiting for the request throttle"`
	RequestThrottleWaitCount             Counter    `metric:"request_throttle_wait_count" help:"times that the request throttle made requests wait"`
	LargeRequestsRejected                Counter    `metric:"large_requests_rejected" help:"connections ended for a request above largeRequestMaxBytes"`

	// Connections.
	ConnectionRequestCount           Counter `metric:"connection_request_count" help:"requests for a session, new or old"`
	ConnectionTokenDeficit           Summary `metric:"connection_token_deficit" help:"tokens that connection throttling lacked for a request for a session"`
	ConnectionRejected               Counter `metric:"connection_rejected" help:"connections refused for maxClientCnxns or maxCnxns"`
	ConnectionDropCount              Counter `metric:"connection_drop_count" help:"connections that the client ended, or that failed, without the end of the session"`
	ConnectionRevalidateCount        Counter `metric:"connection_revalidate_count" help:"requests for a session that a client had before"`
	RevalidateCount                  Counter `metric:"revalidate_count" help:"questions of learners to this leader about such sessions"`
	SessionlessConnectionsExpired    Counter `metric:"sessionless_connections_expired" help:"connections ended because they asked for no session in time"`
	StaleSessionsExpired             Counter `metric:"stale_sessions_expired" help:"sessions that expired"`
	CnxnClosedWithoutZkServerRunning Counter `metric:"cnxn_closed_without_zk_server_running" help:"connections ended because the server did not serve"`
	UnsuccessfulHandshake            Counter `metric:"unsuccessful_handshake" help:"TLS handshakes that failed"`
	TLSHandshakeExceeded             Counter `metric:"tls_handshake_exceeded" help:"TLS connections refused because too many handshakes were under way"`
	NettyQueuedBufferCapacity        Summary `metric:"netty_queued_buffer_capacity" help:"bytes waiting in a connection of Netty" never:"there is no Netty"`
	EnsembleAuthSuccess              Counter `metric:"ensemble_auth_success" help:"clients whose ensemble name was right"`
	EnsembleAuthFail                 Counter `metric:"ensemble_auth_fail" help:"clients whose ensemble name was wrong"`
	EnsembleAuthSkip                 Counter `metric:"ensemble_auth_skip" help:"clients that were not asked for an ensemble name"`

	// Watches.
	NodeCreatedWatchCount      Summary `metric:"node_created_watch_count" help:"connections told of a creation"`
	NodeDeletedWatchCount      Summary `metric:"node_deleted_watch_count" help:"connections told of a deletion"`
	NodeChangedWatchCount      Summary `metric:"node_changed_watch_count" help:"connections told of new data"`
	NodeChildrenWatchCount     Summary `metric:"node_children_watch_count" help:"connections told of new children"`
	AddDeadWatcherStallTime    Counter `metric:"add_dead_watcher_stall_time" help:"waiting for room in the list of dead watchers" never:"watches of a connection end with it"`
	DeadWatchersQueued         Counter `metric:"dead_watchers_queued" help:"connections whose watches wait to be removed" never:"watches of a connection end with it"`
	DeadWatchersCleared        Counter `metric:"dead_watchers_cleared" help:"connections whose watches were removed later" never:"watches of a connection end with it"`
	DeadWatchersCleanerLatency Summary `metric:"dead_watchers_cleaner_latency" show:"advanced,ms" help:"removing them" never:"watches of a connection end with it"`

	// The making of txns.
	PrepProcessorQueueTime                 Summary `metric:"prep_processor_queue_time_ms" show:"advanced,ms" help:"how long the oldest of the inputs that are handled together has waited"`
	PrepProcessorQueueSize                 Summary `metric:"prep_processor_queue_size" help:"inputs that wait to be handled, on a leader or standalone server"`
	PrepProcessorRequestQueued             Counter `metric:"prep_processor_request_queued" help:"requests that came to be made into txns"`
	OutstandingChangesQueued               Counter `metric:"outstanding_changes_queued" help:"changes of nodes noted for txns that are not applied yet"`
	OutstandingChangesRemoved              Counter `metric:"outstanding_changes_removed" help:"the same, forgotten with the txn applied"`
	PrepProcessTime                        Summary `metric:"prep_process_time" show:"ms" help:"making and proposing a txn"`
	ProposalProcessTime                    Summary `metric:"proposal_process_time" show:"ms" help:"handing a txn on" never:"the time is part of prep_process_time"`
	CloseSessionPrepTime                   Summary `metric:"close_session_prep_time" show:"advanced,ms" help:"making the txn that ends a session"`
	LearnerRequestProcessorQueueSize       Summary `metric:"learner_request_processor_queue_size" help:"inputs that wait to be handled, on a learner"`
	SkipLearnerRequestToNextProcessorCount Counter `metric:"skip_learner_request_to_next_processor_count" help:"requests not handed to the next stage" never:"no stage is ever skipped"`
	RequestsNotForwardedToCommitProcessor  Counter `metric:"requests_not_forwarded_to_commit_processor" help:"requests of learners kept from a leader's commit stage" never:"a leader never holds requests of its learners"`

	// The order of requests.
	RequestsInSessionQueue                       Summary `metric:"requests_in_session_queue" help:"requests of a session in process, as one more comes"`
	PendingSessionQueueSize                      Summary `metric:"pending_session_queue_size" help:"sessions with requests in process, as a txn of one is applied"`
	ReadsAfterWriteInSessionQueue                Summary `metric:"reads_after_write_in_session_queue" help:"reads that waited for a write of their session"`
	ReadsIssuedFromSessionQueue                  Summary `metric:"reads_issued_from_session_queue" help:"reads answered together after a txn"`
	SessionQueuesDrained                         Summary `metric:"session_queues_drained" help:"sessions that a txn let go on"`
	TimeWaitingEmptyPoolInCommitProcessorRead    Summary `metric:"time_waiting_empty_pool_in_commit_processor_read_ms" show:"ms" help:"waiting for reads to end before something may change"`
	WriteBatchTimeInCommitProcessor              Summary `metric:"write_batch_time_in_commit_processor" show:"ms" help:"applying txns that became ready together"`
	ConcurrentRequestProcessingInCommitProcessor Summary `metric:"concurrent_request_processing_in_commit_processor" help:"reads under way as a txn is to be applied" never:"nobody counts the readers"`
	ReadCommitProcReqQueued                      Summary `metric:"read_commit_proc_req_queued" help:"reads that wait for a write of their session, at each turn"`
	WriteCommitProcReqQueued                     Summary `metric:"write_commit_proc_req_queued" help:"writes in process, at each turn"`
	CommitCommitProcReqQueued                    Summary `metric:"commit_commit_proc_req_queued" help:"txns that became ready together"`
	RequestCommitQueued                          Counter `metric:"request_commit_queued" help:"txns committed"`
	ReadCommitProcIssued                         Summary `metric:"read_commit_proc_issued" help:"reads answered by the one goroutine that applies txns, at each turn"`
	WriteCommitProcIssued                        Summary `metric:"write_commit_proc_issued" help:"txns applied at each turn"`
	ReadCommitprocTime                           Summary `metric:"read_commitproc_time_ms" show:"advanced,ms" help:"waiting of a read for a write of its session"`
	WriteCommitprocTime                          Summary `metric:"write_commitproc_time_ms" show:"advanced,ms" help:"from the arrival of a write at this server to its being applied"`
	LocalWriteCommittedTime                      Summary `metric:"local_write_committed_time_ms" show:"advanced,ms" help:"from the arrival of a commit to its being applied, own clients" never:"a commit is applied as it arrives"`
	ServerWriteCommittedTime                     Summary `metric:"server_write_committed_time_ms" show:"advanced,ms" help:"the same, clients of other servers" never:"a commit is applied as it arrives"`
	CommitProcessTime                            Summary `metric:"commit_process_time" show:"ms" help:"one turn of the goroutine that decides"`

	// The ensemble.
	LookingCount                  Counter    `metric:"looking_count" help:"times that this server began to look for a leader"`
	ElectionTime                  Summary    `metric:"election_time" show:"ms" help:"looking for a leader"`
	UnavailableTime               Summary    `metric:"unavailable_time" show:"ms" help:"not serving"`
	LeaderUnavailableTime         Summary    `metric:"leader_unavailable_time" show:"ms" help:"not serving, of who then led"`
	FollowerSyncTime              Summary    `metric:"follower_sync_time" show:"ms" help:"synchronising as a follower with the leader"`
	ObserverSyncTime              Summary    `metric:"observer_sync_time" show:"ms" help:"synchronising as an observer"`
	DiffCount                     Counter    `metric:"diff_count" help:"learners synchronised by txns alone"`
	SnapCount                     Counter    `metric:"snap_count" help:"learners synchronised by a snapshot"`
	InflightDiffCount             Summary    `metric:"inflight_diff_count" help:"synchronisations by txns under way, as one begins or ends"`
	InflightSnapCount             Summary    `metric:"inflight_snap_count" help:"synchronisations by a snapshot under way, as one begins or ends"`
	ProposalCount                 Counter    `metric:"proposal_count" help:"proposals of this leader"`
	CommitCount                   Counter    `metric:"commit_count" help:"commits of this leader"`
	ProposalLatency               Summary    `metric:"proposal_latency" show:"advanced,ms" help:"from the making of a txn, by the clock of the leader, to the arrival of its proposal at this follower"`
	ProposalAckCreationLatency    Summary    `metric:"proposal_ack_creation_latency" show:"advanced,ms" help:"from the making of a txn, by the clock of the leader, to its acknowledgement by this server"`
	QuorumAckLatency              Summary    `metric:"quorum_ack_latency" show:"advanced,ms" help:"from the making of a txn by this leader to the acknowledgements of a quorum"`
	AckLatency                    SummarySet `metric:"ack_latency" show:"advanced,ms" help:"from the making of a txn by this leader to its acknowledgement by a server, by server id; one txn in leader.ackLoggingFrequency is measured"`
	CommitPropagationLatency      Summary    `metric:"commit_propagation_latency" show:"advanced,ms" help:"from the making of a txn, by the clock of the leader, to the arrival of its commit at this learner"`
	LearnerProposalReceivedCount  Counter    `metric:"learner_proposal_received_count" help:"proposals that arrived at this follower"`
	LearnerCommitReceivedCount    Counter    `metric:"learner_commit_received_count" help:"commits that arrived at this learner"`
	LearnerHandlerQpSize          SummarySet `metric:"learner_handler_qp_size" help:"packets that wait for a learner, by server id"`
	LearnerHandlerQpTime          SummarySet `metric:"learner_handler_qp_time_ms" show:"advanced,ms" help:"waiting of packets for a learner, by server id; one packet at a time is measured"`
	OMProposalProcessTime         Summary    `metric:"om_proposal_process_time_ms" show:"advanced,ms" help:"handing proposals to observers of this follower" never:"it is part of applying the txn"`
	OMCommitProcessTime           Summary    `metric:"om_commit_process_time_ms" show:"advanced,ms" help:"handing commits to observers of this follower" never:"it is part of applying the txn"`
	QuitLeadingDueToDisloyalVoter Counter    `metric:"quit_leading_due_to_disloyal_voter" help:"terms of leadership ended because most others follow another leader"`
	SocketClosingTime             Summary    `metric:"socket_closing_time" show:"ms" help:"closing a connection between servers"`
	DigestMismatchesCount         Counter    `metric:"digest_mismatches_count" help:"txns after which the tree is not that of the leader: alarm"`

	// The process.
	UnrecoverableErrorCount   Counter `metric:"unrecoverable_error_count" help:"errors that end the process: alarm"`
	InsecureAdminCount        Counter `metric:"insecure_admin_count" help:"connections to the AdminServer without TLS where both are allowed"`
	JVMPauseTime              Summary `metric:"jvm_pause_time_ms" show:"advanced,ms" help:"pauses of the process"`
	FsyncThresholdExceedCount Counter `metric:"fsync_threshold_exceed_count" help:"fsyncs that took longer than fsync.warningthresholdms"`

	// Requests by operation, since 3.10.
	OpCountTotal                Counter `metric:"op_count_total" help:"requests answered"`
	OpCountAddWatch             Counter `metric:"op_count_add_watch" help:"add watch requests answered"`
	OpCountCheck                Counter `metric:"op_count_check" help:"check requests answered"`
	OpCountCheckWatches         Counter `metric:"op_count_check_watches" help:"check watches requests answered"`
	OpCountCloseSession         Counter `metric:"op_count_close_session" help:"close session requests answered"`
	OpCountCreate               Counter `metric:"op_count_create" help:"create requests answered"`
	OpCountCreateSession        Counter `metric:"op_count_create_session" help:"create session requests answered"`
	OpCountDelete               Counter `metric:"op_count_delete" help:"delete requests answered"`
	OpCountExists               Counter `metric:"op_count_exists" help:"exists requests answered"`
	OpCountGetACL               Counter `metric:"op_count_get_acl" help:"get acl requests answered"`
	OpCountGetAllChildrenNumber Counter `metric:"op_count_get_all_children_number" help:"get all children number requests answered"`
	OpCountGetChildren          Counter `metric:"op_count_get_children" help:"get children requests answered"`
	OpCountGetData              Counter `metric:"op_count_get_data" help:"get data requests answered"`
	OpCountGetEphemerals        Counter `metric:"op_count_get_ephemerals" help:"get ephemerals requests answered"`
	OpCountMulti                Counter `metric:"op_count_multi" help:"multi requests answered"`
	OpCountMultiRead            Counter `metric:"op_count_multi_read" help:"multi read requests answered"`
	OpCountPing                 Counter `metric:"op_count_ping" help:"ping requests answered"`
	OpCountReconfig             Counter `metric:"op_count_reconfig" help:"reconfig requests answered"`
	OpCountRemoveWatches        Counter `metric:"op_count_remove_watches" help:"remove watches requests answered"`
	OpCountSetACL               Counter `metric:"op_count_set_acl" help:"set acl requests answered"`
	OpCountSetData              Counter `metric:"op_count_set_data" help:"set data requests answered"`
	OpCountSetWatches           Counter `metric:"op_count_set_watches" help:"set watches requests answered"`
	OpCountSync                 Counter `metric:"op_count_sync" help:"sync requests answered"`
	OpCountWhoAmI               Counter `metric:"op_count_who_am_i" help:"who am i requests answered"`

	all []Metric
}

// Metric describes one of the fields of Metrics. One of the last four is set.
type Metric struct {
	Name, Help string
	// Never says why this server never counts it; empty for what it counts.
	Never string
	// Advanced summaries show more quantiles, as in Apache ZooKeeper.
	Advanced bool

	Counter    *Counter
	Summary    *Summary
	CounterSet *CounterSet
	SummarySet *SummarySet
}

// New returns metrics that have seen nothing.
func New() *Metrics {
	m := &Metrics{}
	v := reflect.ValueOf(m).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name, ok := tag.Lookup("metric")
		if !ok {
			continue
		}
		d := Metric{
			Name: name, Help: tag.Get("help"), Never: tag.Get("never"),
			Advanced: strings.Contains(tag.Get("show"), "advanced"),
		}
		time := strings.Contains(tag.Get("show"), "ms")
		switch f := v.Field(i).Addr().Interface().(type) {
		case *Counter:
			d.Counter = f
		case *Summary:
			d.Summary, f.time = f, time
		case *CounterSet:
			d.CounterSet = f
		case *SummarySet:
			d.SummarySet, f.time = f, time
		}
		m.all = append(m.all, d)
	}
	return m
}

// All are all metrics, in the order of the fields.
func (m *Metrics) All() []Metric { return m.all }

// Rotate moves the window of the recent quantiles of all summaries on. It is called every WindowStep.
func (m *Metrics) Rotate() { m.eachSummary((*Summary).Rotate) }

// Reset lets what is shown since the last Reset begin anew: all but Total and Recent.
func (m *Metrics) Reset() {
	m.eachSummary((*Summary).Reset)
	for _, d := range m.all {
		switch {
		case d.Counter != nil:
			d.Counter.Reset()
		case d.CounterSet != nil:
			for _, key := range d.CounterSet.Keys() {
				d.CounterSet.Of(key).Reset()
			}
		}
	}
}

func (m *Metrics) eachSummary(f func(*Summary)) {
	for _, d := range m.all {
		switch {
		case d.Summary != nil:
			f(d.Summary)
		case d.SummarySet != nil:
			for _, key := range d.SummarySet.Keys() {
				f(d.SummarySet.Of(key))
			}
		}
	}
}
