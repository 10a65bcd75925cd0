package trm

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gomlx/gomlx/backends"

	"trmsweep/internal/backend/backendtest"
	"trmsweep/internal/tensor"
)

// goldenEnv names another folder than the reference's.
const goldenEnv = "TRM_GOLDEN_DIR"

func goldenDir() string {
	if d := os.Getenv(goldenEnv); d != "" {
		return d
	}
	return filepath.Join("..", "..", "testdata", "golden")
}

var (
	npyDescr = regexp.MustCompile(`'descr': '([^']+)'`)
	npyShape = regexp.MustCompile(`'shape': \(([^)]*)\)`)
)

// npy reads an array of any numeric type as float64.
func npy(t *testing.T, name string) ([]float64, []int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldenDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) < 10 || string(raw[:6]) != "\x93NUMPY" {
		t.Fatalf("%s is not a .npy file", name)
	}
	head := 10 + int(binary.LittleEndian.Uint16(raw[8:]))
	text, data := string(raw[10:head]), raw[head:]
	var shape []int
	n := 1
	for f := range strings.SplitSeq(npyShape.FindStringSubmatch(text)[1], ",") {
		if f = strings.TrimSpace(f); f != "" {
			d, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			shape, n = append(shape, d), n*d
		}
	}
	descr := npyDescr.FindStringSubmatch(text)[1]
	size := int(descr[2] - '0')
	if len(data) != n*size {
		t.Fatalf("%s: %d bytes for shape %v of %s", name, len(data), shape, descr)
	}
	out := make([]float64, n)
	for i := range out {
		p := data[i*size:]
		switch descr[1:] {
		case "f4":
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(p)))
		case "f8":
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(p))
		case "i4":
			out[i] = float64(int32(binary.LittleEndian.Uint32(p)))
		case "i8":
			out[i] = float64(int64(binary.LittleEndian.Uint64(p)))
		case "u1", "b1":
			out[i] = float64(p[0])
		case "i1":
			out[i] = float64(int8(p[0]))
		default:
			t.Fatalf("%s: type %s", name, descr)
		}
	}
	return out, shape
}

func floats(t *testing.T, a tensor.Array) []float64 {
	t.Helper()
	out := make([]float64, a.Len())
	for i := range out {
		switch a.DType {
		case tensor.F32:
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(a.Data[4*i:])))
		case tensor.BF16:
			out[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(a.Data[2*i:])) << 16))
		case tensor.F64:
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(a.Data[8*i:]))
		case tensor.I32:
			out[i] = float64(int32(binary.LittleEndian.Uint32(a.Data[4*i:])))
		case tensor.U8, tensor.Bool:
			out[i] = float64(a.Data[i])
		default:
			t.Fatalf("type %s", a.DType)
		}
	}
	return out
}

func fromFloats(v []float64, shape []int) tensor.Array {
	a := zeros(tensor.F32, shape...)
	for i, x := range v {
		binary.LittleEndian.PutUint32(a.Data[4*i:], math.Float32bits(float32(x)))
	}
	return a
}

// near reports the largest |got-want|; relative to the largest |want| where rel is true.
func near(t *testing.T, what string, got, want []float64, tol float64, rel bool) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	scale, worst := 0.0, 0.0
	for i := range want {
		scale = max(scale, math.Abs(want[i]))
		d := math.Abs(got[i] - want[i])
		if math.IsNaN(d) {
			t.Errorf("%s: NaN at %d", what, i)
			return
		}
		worst = max(worst, d)
	}
	if rel && scale > 0 {
		worst /= scale
	}
	if worst > tol {
		t.Errorf("%s: differs by %.3g, tolerance %.3g", what, worst, tol)
	}
}

// sampled is a tensor of the manifest: every stride-th value in a file, statistics of all values, or both.
type sampled struct {
	File      string `json:"file"`
	FullShape []int  `json:"full_shape"`
	Stride    int    `json:"stride"`
	Stats     *stats `json:"stats"`
}

func (s sampled) near(t *testing.T, what string, got tensor.Array, tol float64) {
	t.Helper()
	if s.File == "" && s.Stats == nil {
		t.Errorf("%s: the manifest has neither a file nor statistics", what)
		return
	}
	all := floats(t, got)
	if s.File != "" {
		want, shape := npy(t, s.File)
		full := s.FullShape
		if full == nil {
			full = shape
		}
		if !slices.Equal(got.Shape, full) {
			t.Errorf("%s: shape %v, want %v", what, got.Shape, full)
			return
		}
		var some []float64
		for i := 0; i < len(all); i += max(1, s.Stride) {
			some = append(some, all[i])
		}
		near(t, what, some, want, tol, false)
	}
	if s.Stats != nil {
		s.Stats.check(t, what, all, tol)
	}
}

// stats are over a whole tensor, in float64; std is the population's. First8, Mean and Std may be missing.
type stats struct {
	Sum    float64   `json:"sum"`
	L2     float64   `json:"l2"`
	AbsMax float64   `json:"absmax"`
	Mean   *float64  `json:"mean"`
	Std    *float64  `json:"std"`
	First8 []float64 `json:"first8"`
}

func (s *stats) absmax() float64 {
	if s == nil {
		return 0
	}
	return s.AbsMax
}

// check holds the statistics of values that may each be off by tol: their sum by four standard errors of independent rounding.
func (s *stats) check(t *testing.T, what string, v []float64, tol float64) {
	t.Helper()
	n := float64(len(v))
	var sum, squares, absmax, dev float64
	for _, x := range v {
		sum, squares, absmax = sum+x, squares+x*x, max(absmax, math.Abs(x))
	}
	for _, x := range v {
		dev += (x - sum/n) * (x - sum/n)
	}
	text := func(x float64) float64 { return 1e-9 * math.Abs(x) } // the manifest has ten digits
	hold := func(name string, got, want, tol float64) {
		t.Helper()
		near(t, what+" "+name, []float64{got}, []float64{want}, tol+text(want), false)
	}
	hold("sum", sum, s.Sum, 4*math.Sqrt(n)*tol)
	hold("l2", math.Sqrt(squares), s.L2, math.Sqrt(n)*tol)
	hold("absmax", absmax, s.AbsMax, tol)
	if s.Mean != nil {
		hold("mean", sum/n, *s.Mean, 4*tol/math.Sqrt(n))
	}
	if s.Std != nil {
		hold("std", math.Sqrt(dev/n), *s.Std, tol)
	}
	if len(s.First8) > 0 {
		near(t, what+" first values", v[:min(8, len(v))], s.First8, tol+text(s.AbsMax), false)
	}
}

func stateName(prefix, reference string) string {
	switch reference {
	case "puzzle_emb.weights":
		return puzzleEmb
	case "H_init", "L_init":
		return "const/" + reference
	}
	return prefix + reference
}

func bytesOf(v []float64) []uint8 {
	b := make([]uint8, len(v))
	for i, x := range v {
		b[i] = uint8(x)
	}
	return b
}

func intsOf(v []float64) []int32 {
	b := make([]int32, len(v))
	for i, x := range v {
		b[i] = int32(x)
	}
	return b
}

func manifest(t *testing.T, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(goldenDir(), "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

// backendEnv names the backend of the tests that do not name theirs.
const backendEnv = "TRM_BACKEND"

// testBackend is the one of onEach, or cpu.
func testBackend(t *testing.T) backends.Backend {
	t.Helper()
	return backendtest.Open(t, cmp.Or(os.Getenv(backendEnv), "cpu"))
}

// onEach runs the test on every backend.
func onEach(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	backendtest.Each(t, func(t *testing.T, name string) {
		t.Setenv(backendEnv, name)
		f(t)
	})
}

func testModel(t *testing.T, c Config) *Model {
	t.Helper()
	m, err := New(testBackend(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestGoldenFiles wants every file of the manifest with its type and shape.
func TestGoldenFiles(t *testing.T) {
	var m struct {
		Files map[string]struct {
			DType string `json:"dtype"`
			Shape []int  `json:"shape"`
		} `json:"files"`
	}
	manifest(t, &m)
	if len(m.Files) == 0 {
		t.Fatal("the manifest lists no files")
	}
	for name, want := range m.Files {
		_, shape := npy(t, name)
		if !slices.Equal(shape, want.Shape) {
			t.Errorf("%s: shape %v, the manifest says %v", name, shape, want.Shape)
		}
		raw, err := os.ReadFile(filepath.Join(goldenDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if got := npyDescr.FindStringSubmatch(string(raw))[1]; got != want.DType {
			t.Errorf("%s: type %s, the manifest says %s", name, got, want.DType)
		}
	}
}
