// Package resources takes from an ensemble of real servers what a machine can run out of, and asks whether it keeps serving
// others: descriptors, memory, the processor. How long a client in the midst of it has to wait is measured and printed,
// not asserted.
package resources
