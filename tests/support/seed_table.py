"""The first table of the vendor's page as CSV files."""

from __future__ import annotations

FILES = {
    "customers.csv": "customer_id,name\nC-1,Computer hardware\n",
    "price_books.csv": "price_book_id,name,currency\nPB-1,List,USD\n",
    "prices.csv": (
        "price_book_id,product,effective_from,model,product_uom\nPB-1,Internet Plans,2023-01-01,volume,Each\n"
    ),
    "price_tiers.csv": (
        "price_book_id,product,effective_from,from_quantity,to_quantity,unit_price,flat_fee\n"
        "PB-1,Internet Plans,2023-01-01,0,20,200,\n"
        "PB-1,Internet Plans,2023-01-01,21,40,400,\n"
    ),
    "contracts.csv": (
        "contract_id,customer_id,price_book_id,start_date,end_date,status\nK-1,C-1,PB-1,2023-01-01,,Active\n"
    ),
    "asset_line_items.csv": (
        "asset_line_item_id,asset_number,customer_id,product,start_date,end_date,billing_frequency,"
        "usage_frequency,first_billing_date,selling_frequency,price_type,list_price\n"
        "AL-1,akdsjs,C-1,Internet Plans,2023-01-01,2023-12-31,Half Yearly,Monthly,2023-01-01,Yearly,Usage,100\n"
    ),
    "usage_inputs.csv": (
        "usage_input_id,asset_line_item_id,usage_date,quantity,product_uom\n"
        "IN-00007052,AL-1,2023-06-05,20.00,Each\n"
        "IN-00007053,AL-1,2023-07-08,10.00,Each\n"
    ),
}
