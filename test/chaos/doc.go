// Package chaos runs ensembles of real processes under a nemesis and holds them to what ZooKeeper promises.
//
// Each member lives in a network namespace with an address of its own and on a small ext4 file system of its own. The
// namespaces meet in a switch that this program is (switch.go), so that any link, in either direction, can be cut, slow or
// lossy. A nemesis (nemesis.go, faults_*.go) injects faults in rounds that a seed chooses; after each round everything is
// healed and the ensemble must serve again. Meanwhile many sessions work (clients_*.go) and record what they asked and
// were told. Afterwards Porcupine looks for an order that explains the answers (models.go), each session's order has been
// checked as it went (order.go), and all members must hold the same tree, with everything that was acknowledged.
//
// What it does not do: step the clock, which Linux shares between network namespaces and which a static binary reads
// without a library that one could replace. The simulator (server/sim) does that.
package chaos
