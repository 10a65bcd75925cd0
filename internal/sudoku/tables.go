package sudoku

// A band is three rows; a digit's candidates in it are 27 bits, bit 9*r+c.
const full = 1<<27 - 1

var (
	tblShrink  [512]uint32 // row of 9 -> which of its 3 minirows have candidates
	tblLocked  [512]uint32 // 9 minirows with candidates -> cells that some placement of one per row and box uses; 0 = none
	tblColumns [512]uint32 // columns with candidates -> cells that other bands keep: a box with one column claims it
	tblSelf    [27]uint32  // cell -> cells of its band that keep the digit once the cell has it
	tblOther   [27]uint32  // cell -> cells of other bands that keep the digit
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
			}
		}
		keep := uint32(511)
		for j := range 3 {
			switch x >> (3 * j) & 7 {
			case 1, 2, 4:
				keep &^= uint32(x) & (7 << (3 * j))
			}
		}
		tblColumns[x] = keep | keep<<9 | keep<<18
	}
	for c := range 27 {
		row, col := c/9, c%9
		col3 := uint32(1|1<<9|1<<18) << col
		box := uint32(7|7<<9|7<<18) << (col / 3 * 3)
		tblOther[c] = full &^ col3
		tblSelf[c] = full&^(col3|box|511<<(9*row)) | 1<<c
	}
}
