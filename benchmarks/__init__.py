"""Speed, measured by hand or by ``make bench``; nothing here is asserted in tests."""
