package sudoku

// A band is three rows. The candidates of a digit in a band are 27 bits; bit 9*r+c is row r, column c.
const (
	full   = 1<<27 - 1
	rowBit = 1 | 1<<9 | 1<<18 // the first cell of each row
)

var (
	tblShrink [512]uint8     // row of 9 -> which of its 3 minirows have candidates
	tblLocked [512]uint32    // 9 minirows with candidates -> cells that some placement of one per row and box uses; 0 = none
	tblStack  [3][512]uint32 // 9 minicolumns of a stack with candidates -> the columns, 9 bits a band, that some placement uses
	tblSelf   [27]uint32     // cell -> cells of its band that keep the digit once the cell has it
	tblOther  [27]uint32     // cell -> cells of other bands that keep the digit
	tblPeers  [81][3]uint32  // cell -> cells that share a row, column or box with it
)

func init() {
	perms := [6][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for x := range 512 {
		for j := range 3 {
			if x>>(3*j)&7 != 0 {
				tblShrink[x] |= 1 << j
			}
		}
		for _, p := range perms {
			need := 1<<p[0] | 8<<p[1] | 64<<p[2]
			if x&need != need {
				continue
			}
			for r, j := range p {
				tblLocked[x] |= 7 << (9*r + 3*j)
				for stack := range 3 {
					tblStack[stack][x] |= 1 << (9*r + 3*stack + j)
				}
			}
		}
	}
	for c := range 27 {
		row, col := c/9, c%9
		col3 := uint32(rowBit) << col
		box := uint32(7*rowBit) << (col / 3 * 3)
		tblOther[c] = full &^ col3
		tblSelf[c] = full&^(col3|box|511<<(9*row)) | 1<<c
	}
	for i := range 81 {
		for k := range 3 {
			tblPeers[i][k] = full &^ tblOther[i%27]
		}
		tblPeers[i][i/27] = full &^ tblSelf[i%27] &^ (1 << (i % 27))
	}
}
