package pjrt

// Compiled tells of a program that is ready to be executed.
type Compiled struct {
	Program string  // its name
	From    string  // FromCompiler, FromFolder or FromStore
	Seconds float64 // until it was ready, waiting for another goroutine's compilation included
	Key     string  // in the cache, "" without one
	Memory  Memory
}

// Memory is what the compiler says a program needs on a device, in bytes.
type Memory struct {
	Code, Arguments, Outputs, Temporary int64
	Alias                               int64 // of Outputs: in the memory of arguments
}
