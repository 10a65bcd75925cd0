package report

import (
	"bytes"
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

func init() { plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"} }

// figure is a drawing that the report stores as SVG and PNG.
type figure struct {
	Name, Title, Note string
	Single            bool // one panel
	SVG, PNG          []byte
}

// panel is one plot of a figure. Its legend stands beside the plot and never covers lines.
type panel struct {
	plot   *plot.Plot
	legend plot.Legend
	items  int // number of entries in the legend
}

func newPanel(title, x, y string) *panel {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font.Size = vg.Points(10)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font.Size = vg.Points(9)
		a.Tick.Label.Font.Size = vg.Points(8)
		a.Tick.Marker = roundTicks{}
		a.Padding = vg.Points(3)
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{230}, color.Gray{230}
	p.Add(grid)
	l := plot.NewLegend()
	l.Top, l.Left = true, true
	l.TextStyle.Font.Size = vg.Points(8)
	l.Padding = vg.Points(3)
	return &panel{plot: p, legend: l}
}

// add puts an entry into the legend.
func (p *panel) add(name string, ts ...plot.Thumbnailer) {
	p.legend.Add(fitting(name), ts...)
	p.items++
}

// fitting shortens a name that is too long for the legend by cutting out its middle.
func fitting(name string) string {
	const most, tail = 26, 10
	r := []rune(name)
	if len(r) <= most {
		return name
	}
	return string(r[:most-tail-1]) + "…" + string(r[len(r)-tail:])
}

// Sizes of a panel.
const (
	panelWidth  = 6 * vg.Inch
	panelHeight = 3.3 * vg.Inch
	legendWidth = 1.75 * vg.Inch
	gap         = vg.Length(8) // points
)

// palette can be distinguished by colour-blind people too, in this order (after Okabe and Ito).
var palette = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255}, {86, 180, 233, 255},
	{230, 159, 0, 255}, {120, 94, 240, 255}, {150, 75, 0, 255}, {128, 128, 0, 255}, {90, 90, 90, 255},
}

func lineColor(i int) color.Color { return palette[i%len(palette)] }

// glyph returns mark number i. Neighbours differ in shape as well as in colour.
func glyph(i int) draw.GlyphStyle {
	shapes := []draw.GlyphDrawer{
		draw.CircleGlyph{}, draw.SquareGlyph{}, draw.PyramidGlyph{},
		draw.RingGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{},
	}
	return draw.GlyphStyle{Color: lineColor(i), Shape: shapes[i%len(shapes)], Radius: vg.Points(3.2)}
}

// newFigure draws panels in two columns; a single panel gets one column.
func newFigure(name, title, note string, panels []*panel) (figure, error) {
	f := figure{Name: name, Title: title, Note: note, Single: len(panels) == 1}
	cols := min(2, len(panels))
	rows := (len(panels) + cols - 1) / cols
	width, height := vg.Length(cols)*panelWidth, vg.Length(rows)*panelHeight
	for _, format := range []struct {
		canvas vg.CanvasWriterTo
		out    *[]byte
	}{{vgsvg.New(width, height), &f.SVG}, {vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(160))}, &f.PNG}} {
		c := format.canvas
		dc := draw.New(c)
		dc.SetColor(color.White)
		dc.Fill(dc.Rectangle.Path())
		tiles := draw.Tiles{Cols: cols, Rows: rows, PadX: gap, PadY: gap, PadTop: gap, PadBottom: gap, PadLeft: gap, PadRight: gap}
		for i, p := range panels {
			p.draw(tiles.At(dc, i%cols, i/cols))
		}
		var b bytes.Buffer
		if _, err := c.WriteTo(&b); err != nil {
			return f, fmt.Errorf("draw %s: %w", name, err)
		}
		*format.out = b.Bytes()
	}
	return f, nil
}

func (p *panel) draw(c draw.Canvas) {
	if p.items == 0 {
		p.plot.Draw(c)
		return
	}
	p.plot.Draw(draw.Crop(c, 0, -legendWidth, 0, 0))
	width := c.Max.X - c.Min.X
	p.legend.Draw(draw.Crop(c, width-legendWidth+gap, 0, 0, -vg.Points(16)))
}

// finite drops points with a coordinate that cannot be drawn (NaN or infinite).
func finite(xys plotter.XYs) plotter.XYs {
	var out plotter.XYs
	for _, p := range xys {
		if !math.IsNaN(p.X+p.Y) && !math.IsInf(p.X+p.Y, 0) {
			out = append(out, p)
		}
	}
	return out
}
