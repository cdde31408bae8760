package money

import "testing"

func TestString(t *testing.T) {
	for amount, want := range map[Cents]string{0: "0.00", 5: "0.05", 1250: "12.50", -99: "-0.99"} {
		if got := amount.String(); got != want {
			t.Errorf("%d: got %s, want %s", int64(amount), got, want)
		}
	}
}
