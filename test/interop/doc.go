// Package interop checks the server against clients and servers that nobody here wrote: github.com/go-zookeeper/zk,
// Debian's python3-kazoo, Apache ZooKeeper's Java zkCli and C cli_mt, and Apache ZooKeeper 3.8.0 members in one ensemble
// with ours. ZKCTL_TEST_AGAINST=apache runs the client tests on an ensemble of Apache ZooKeeper, which tests the tests.
package interop
