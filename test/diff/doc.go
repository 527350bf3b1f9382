// Package diff sends the same requests to zkserver and to Apache ZooKeeper 3.8.0 from Debian's package, frame by frame, and
// compares everything that comes back: replies, codes, stats, results of multis, watch events and their order.
//
// One step is done at a time; it is over when every connection has answered a ping (or a sync, in ensembles) that was sent
// after the answer. Both start from nothing and get the same transactions, so even zxids must be equal. What is made alike
// before comparing stands in text_test.go, what is known to differ in known_test.go.
package diff
