// Package transcript types the same commands at Apache ZooKeeper's zkCli.sh and at zkcli, each connected to zkserver and to
// Apache ZooKeeper 3.8.0, and compares what the four print, stdout and stderr apart, and how they end. What is made alike
// before comparing stands in normal_test.go.
package transcript
