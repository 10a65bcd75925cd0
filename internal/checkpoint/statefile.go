package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/nlpodyssey/safetensors"

	"trmsweep/internal/tensor"
)

// alignment order of safetensors: wider types first, so that every array is aligned.
var typeRank = map[tensor.DType]int{
	tensor.I64: 6, tensor.F64: 5, tensor.F32: 4, tensor.I32: 3, tensor.BF16: 2, tensor.U8: 1, tensor.Bool: 0,
}

// stateFile is a state in safetensors form that is never put together in
// memory: the header is new, the rest are the arrays themselves. The bytes
// depend on nothing but names, types, shapes and data.
type stateFile struct {
	parts   [][]byte
	ends    []int64 // offset of the end of each part
	tensors []TensorInfo
}

func newStateFile(s tensor.State) (*stateFile, error) {
	names := s.Names()
	slices.SortStableFunc(names, func(a, b string) int { return typeRank[s[b].DType] - typeRank[s[a].DType] })
	var header bytes.Buffer
	header.WriteByte('{')
	f := &stateFile{parts: [][]byte{nil}}
	var offset int64
	for i, name := range names {
		a := s[name]
		if err := a.Check(); err != nil {
			return nil, fmt.Errorf("encode state: %s: %w", name, err)
		}
		if name == "__metadata__" {
			return nil, fmt.Errorf("encode state: an array cannot be called %s", name)
		}
		shape := a.Shape
		if shape == nil {
			shape = []int{}
		}
		f.tensors = append(f.tensors, TensorInfo{name, a.DType, shape})
		if i > 0 {
			header.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, fmt.Errorf("encode state: %w", err)
		}
		info, err := json.Marshal(struct {
			DType   tensor.DType `json:"dtype"`
			Shape   []int        `json:"shape"`
			Offsets [2]int64     `json:"data_offsets"`
		}{a.DType, shape, [2]int64{offset, offset + int64(len(a.Data))}})
		if err != nil {
			return nil, fmt.Errorf("encode state: %w", err)
		}
		fmt.Fprintf(&header, "%s:%s", key, info)
		offset += int64(len(a.Data))
		f.parts = append(f.parts, a.Data)
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 {
		header.WriteByte(' ')
	}
	f.parts[0] = append(binary.LittleEndian.AppendUint64(nil, uint64(header.Len())), header.Bytes()...)
	var end int64
	for _, p := range f.parts {
		end += int64(len(p))
		f.ends = append(f.ends, end)
	}
	return f, nil
}

// Size is the file's length in bytes.
func (f *stateFile) Size() int64 { return f.ends[len(f.ends)-1] }

// ReadAt is io.ReaderAt.
func (f *stateFile) ReadAt(p []byte, off int64) (n int, err error) {
	i := sort.Search(len(f.ends), func(i int) bool { return f.ends[i] > off })
	for ; n < len(p) && i < len(f.parts); i++ {
		start := f.ends[i] - int64(len(f.parts[i]))
		n += copy(p[n:], f.parts[i][off+int64(n)-start:])
	}
	if n < len(p) {
		err = io.EOF
	}
	return n, err
}

// decodeState takes a safetensors file apart without copying: the state's arrays are slices of data.
func decodeState(data []byte) (tensor.State, error) {
	st, err := safetensors.Deserialize(data)
	if err != nil {
		return nil, fmt.Errorf("decode safetensors: %w", err)
	}
	out := make(tensor.State, st.Len())
	for _, t := range st.Tensors() {
		a := tensor.Array{DType: tensor.DType(t.TensorView.DType().String()), Data: t.TensorView.Data()}
		for _, d := range t.TensorView.Shape() {
			a.Shape = append(a.Shape, int(d))
		}
		if err := a.Check(); err != nil {
			return nil, fmt.Errorf("decode safetensors: %s: %w", t.Name, err)
		}
		out[t.Name] = a
	}
	return out, nil
}

// matches reports the first difference between a state and its record.
func matches(s tensor.State, want []TensorInfo) error {
	if len(s) != len(want) {
		return fmt.Errorf("%d arrays where the manifest lists %d", len(s), len(want))
	}
	for _, t := range want {
		a, ok := s[t.Name]
		if !ok {
			return fmt.Errorf("array %s is missing", t.Name)
		}
		if a.DType != t.DType || !slices.Equal(a.Shape, t.Shape) {
			return fmt.Errorf("array %s is %s %v where the manifest says %s %v", t.Name, a.DType, a.Shape, t.DType, t.Shape)
		}
	}
	return nil
}
