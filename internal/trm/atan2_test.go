package trm

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
)

// TestAtan2Bound holds the stated error over magnitudes from 1e-20 to 1e20, both signs, and the axes.
func TestAtan2Bound(t *testing.T) { onEach(t, atan2Bound) }

func atan2Bound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ys, xs := []float32{0, 0, 1, -1, 3}, []float32{0, 2, 0, 0, 3}
	for range 100_000 {
		x := math.Pow(10, 40*r.Float64()-20)
		ys, xs = append(ys, float32(x*math.Pow(10, 8*r.Float64()-4)*float64(1-2*r.IntN(2)))), append(xs, float32(x))
	}
	out := graph.MustNewExec(testBackend(t), atan2).MustExec(tensors.FromValue(ys), tensors.FromValue(xs))[0]
	worst := 0.0
	for i, got := range tensors.MustCopyFlatData[float32](out) {
		want := math.Atan2(float64(ys[i]), float64(xs[i]))
		_, e := math.Frexp(want)
		ulp := math.Abs(float64(got)-want) / math.Ldexp(1, e-24)
		if worst = max(worst, ulp); !(ulp <= 4) {
			t.Fatalf("atan2(%g, %g) = %g, want %g: %.2f ulp", ys[i], xs[i], got, want, ulp)
		}
	}
	t.Logf("worst %.2f ulp", worst)
}
