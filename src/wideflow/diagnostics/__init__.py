"""One model diagnosed on one data set: settings → results for a page. The numbers are those of `finite.diagnose`."""
