// Package ensemble runs ensembles of real server processes on this machine's loopback for tests and measurements: the
// bundled zkserver, Apache ZooKeeper from Debian's package, or both mixed.
//
// An Ensemble is a directory with one member directory each (zoo.cfg, myid, data, log), free ports, and at most one
// process per member. Processes end with Close at the latest, and with the test program if that dies (Pdeathsig).
package ensemble
