package kernel

import "math"

// packCost is how many multiply-adds take the time of packing one number.
const (
	packCost      = 10.0
	packCostTiles = 60.0
)

// tasks chooses into how many parts rows and columns are cut for a pool. The results do not depend on it. Every part packs its own
// operands, so few parts are good; but the threads should end together, so fewer than two parts per thread count as two.
func (g *Gemm) tasks(p *Pool) (m, n int) {
	panel, block := g.rowsOf()
	m, n = ceilDiv(g.M, block), ceilDiv(g.N, blockN)
	if p == nil || p.threads == 1 || float64(g.M)*float64(g.N)*float64(g.K) <= 1<<18 {
		return m, n
	}
	pack := packCost
	if g.usesTileRegisters() {
		pack = packCostTiles
	}
	rows, cols := ceilDiv(g.M, panel), ceilDiv(g.N, tileN)
	least, best := math.Inf(1), [2]int{m, n}
	for i := m; i <= max(m, rows/4); i++ {
		for j := n; j <= max(n, cols/4); j++ {
			if j > n && g.Batch*i*j > 8*p.threads {
				break
			}
			r, c := ceilDiv(rows, i)*panel, ceilDiv(cols, j)*tileN
			rounds := max(2, ceilDiv(g.Batch*i*j, p.threads))
			if cost := float64(rounds) * (float64(r)*float64(c) + pack*float64(r+c)); cost < least {
				least, best = cost, [2]int{i, j}
			}
		}
	}
	return best[0], best[1]
}
