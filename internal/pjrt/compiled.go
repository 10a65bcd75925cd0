package pjrt

// Compiled describes a program that is ready to be executed.
type Compiled struct {
	Program string  // name of the program
	From    string  // FromCompiler, FromFolder or FromStore
	Seconds float64 // until the program was ready, including the time of waiting for another goroutine
	Key     string  // key in the cache, "" if there is no cache
	Memory  Memory
}

// Memory is the memory in bytes that a program needs on a device, by the compiler's account.
type Memory struct {
	Code, Arguments, Outputs, Temporary int64
	Alias                               int64 // part of Outputs that uses the memory of arguments
}
