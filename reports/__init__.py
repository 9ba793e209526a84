"""The report stage: from the look-up's results to a page, tables and figures. See `reports.page.build_report`."""
