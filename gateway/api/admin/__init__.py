"""The admin API: everything an operator may do, as JSON over HTTP under `/admin/api/v1`; a file per noun."""
