package trm

// splitmix is the finalizer of SplitMix64: a well-mixed function of its argument.
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Explore is the least number of supervision steps that a slot must make: with probability prob it is uniform in 2..haltMax, else 0, which
// is no constraint. It is a pure function of its arguments.
func Explore(seed uint64, step int64, slot int, prob float64, haltMax int) int32 {
	if prob <= 0 || haltMax < 2 {
		return 0
	}
	h := splitmix(splitmix(splitmix(seed^0x6578706c6f7265)+uint64(step)) + uint64(slot))
	if float64(h>>11)/(1<<53) >= prob {
		return 0
	}
	return 2 + int32(splitmix(h)%uint64(haltMax-1))
}
