// Package money counts without fractions.
package money

import "fmt"

// Cents is an amount.
type Cents int64

// String writes an amount with two decimals.
func (c Cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, c/100, c%100)
}
