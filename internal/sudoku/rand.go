package sudoku

import "math/bits"

// Mix hashes its arguments to 64 well-mixed bits (splitmix64's finalizer, chained).
// Draws that are keyed by it do not depend on the order in which they are made.
func Mix(keys ...uint64) uint64 {
	return uint64(NewKey(keys...))
}

// Key is the state of Mix after some of its keys.
type Key uint64

// NewKey returns the state after keys.
func NewKey(keys ...uint64) Key {
	h := Key(0x243f6a8885a308d3)
	for _, k := range keys {
		h = h.with(k)
	}
	return h
}

func (h Key) with(k uint64) Key { return Key(mix64(uint64(h) ^ mix64(k+0x9e3779b97f4a7c15))) }

// Rand returns NewRand of all keys so far and k.
func (h Key) Rand(k uint64) Rand { return Rand(h.with(k)) }

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Rand is a splitmix64 stream. Its zero value is the stream of seed 0.
type Rand uint64

// NewRand returns the stream whose seed is Mix of the keys.
func NewRand(keys ...uint64) Rand { return Rand(Mix(keys...)) }

// Uint64 returns the next draw.
func (r *Rand) Uint64() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix64(uint64(*r))
}

// Intn returns a uniform number in [0, n), with a bias below n/2^64.
func (r *Rand) Intn(n int) int {
	hi, _ := bits.Mul64(r.Uint64(), uint64(n))
	return int(hi)
}

// Shuffle permutes p at random.
func Shuffle[T any](r *Rand, p []T) {
	for i := len(p) - 1; i > 0; i-- {
		j := r.Intn(i + 1)
		p[i], p[j] = p[j], p[i]
	}
}
