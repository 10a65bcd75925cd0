module trmsweep/internal/guard

go 1.26.0
