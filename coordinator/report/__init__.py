"""What a reader gets from `results.json`: tables and pages, each a pure function of that file and of the strings file.

    tables.table(results, "tgi")        bytes of tables/tgi.csv
    xlsx.workbook(results)              bytes of results.xlsx
    html.render(results, "zh")          one page with its figures, no JavaScript, no network

A number never appears without its error, its mark or its status; nothing is marked by a rule of this package.
"""
