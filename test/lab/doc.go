// Package lab takes bare Linux hosts (lab/lab.sh) to a serving ensemble with zkctl and looks at the result as an operator
// would: from outside, by ssh and by ZooKeeper clients, never through zkctl's own words alone.
//
// The tests have the build tag lab, since they need root: make lab-test.
package lab
