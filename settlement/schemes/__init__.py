"""The schemes of settlement currencies, as operators set them and partners read them."""
