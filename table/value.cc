#include "varve/value.h"

namespace varve {

bool append_value(const Value& value, Order order, KeyWriter* key) {
  if (value.is_null()) {
    key->null(order);
    return key->ok();
  }
  switch (value.type()) {
    case ColumnType::boolean:
      key->boolean(value.as_boolean(), order);
      break;
    case ColumnType::int64:
      key->int64(value.as_int64(), order);
      break;
    case ColumnType::uint64:
      key->uint64(value.as_uint64(), order);
      break;
    case ColumnType::float64:
      key->float64(value.as_float64(), order);
      break;
    case ColumnType::decimal:
      key->decimal(value.as_decimal(), order);
      break;
    case ColumnType::timestamp:
      key->timestamp(value.as_timestamp(), order);
      break;
    case ColumnType::uuid:
      key->uuid(value.as_uuid(), order);
      break;
    case ColumnType::bytes:
      key->bytes(value.as_bytes(), order);
      break;
    case ColumnType::text:
      key->text(value.as_text(), order);
      break;
    case ColumnType::array:
      key->encoded_array(value.as_array(), order);
      break;
  }
  return key->ok();
}

}  // namespace varve
