package catalog

import "testing"

func TestItemsHaveNamesAndPrices(t *testing.T) {
	items, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(items) == 0 {
		t.Fatal("nothing is for sale")
	}
	for _, item := range items {
		if item.Name == "" || item.Price <= 0 {
			t.Errorf("%+v has no name or no price", item)
		}
	}
}
