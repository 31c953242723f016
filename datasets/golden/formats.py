"""Writes golden/formats: one table in the formats that the tests do not write themselves.

pandas 2, openpyxl, odfpy, fastavro; the values are those of `every_format_is_the_same_table`.
"""

import pathlib
from datetime import datetime, time, timedelta

import fastavro
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

folder = pathlib.Path(__file__).parent / "formats"
folder.mkdir(exist_ok=True)
rows = [
    {"c": ["red", "blue", "green"][i % 3], "flag": i % 4 == 0, "n": None if i == 5 else i, "x": i * 0.25 - 3.5, "y": "ab"[i % 2]}
    for i in range(24)
]
table = pd.DataFrame(rows)
with pd.ExcelWriter(folder / "table.xlsx", engine="openpyxl") as book:
    table.to_excel(book, sheet_name="rows", index=False)
    pd.DataFrame({"other": [1, 2], "y": ["p", "q"]}).to_excel(book, sheet_name="notes", index=False)
    sheet = book.book.create_sheet("dates")
    for row in [
        [],
        [None, "day", "day", None, "late"],
        [None, datetime(2024, 5, 1), datetime(2024, 5, 2, 12, 30), 1, timedelta(hours=36)],
        [],
        [None, None, time(6, 30), 2.5, "=1/0"],
    ]:
        sheet.append(row)
table.to_excel(folder / "table.ods", engine="odf", index=False)
schema = fastavro.parse_schema(
    {
        "type": "record",
        "name": "row",
        "fields": [
            {"name": "c", "type": {"type": "enum", "name": "colour", "symbols": ["red", "blue", "green"]}},
            {"name": "flag", "type": "boolean"},
            {"name": "n", "type": ["null", "long"]},
            {"name": "x", "type": "double"},
            {"name": "y", "type": "string"},
        ],
    }
)
for codec in ["null", "deflate", "snappy", "zstandard"]:
    with open(folder / f"{codec}.avro", "wb") as file:
        fastavro.writer(file, schema, rows, codec=codec, sync_interval=200)
# Pages with checksums, of plain numbers: any bit of their values may be another number.
pq.write_table(
    pa.table({"x": pa.array([i * 0.25 - 3.5 for i in range(24)]), "n": pa.array(range(24), pa.int32())}),
    folder / "checked.parquet",
    compression="none",
    use_dictionary=False,
    write_page_checksum=True,
)
