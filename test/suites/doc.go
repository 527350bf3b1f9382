// Package suites runs the integration suites of well-known clients, as their authors published them, against zkserver and
// against Apache ZooKeeper 3.8.0, and compares the two tallies test by test.
//
// A suite starts its own servers: by `java`, or by a zkServer.sh that calls it. standin/java, first on PATH, runs zkserver
// instead; that is the only thing in which the two runs of a suite differ. Each run has network, process and /tmp
// namespaces of its own, since suites use fixed ports and file names; what is unmounted outside is unmounted there, too.
package suites
