#include "table/row_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/coding.h"

namespace varve {

namespace {

std::string_view view_of(const Value& value) {
  return value.is_null() ? std::string_view() : value.as_bytes();
}

// What a place that is not variable holds. Nulls are zeros already.
void store_fixed(const Value& value, char* to) {
  switch (value.type()) {
    case ColumnType::boolean:
      *to = value.as_boolean() ? 1 : 0;
      break;
    case ColumnType::int64:
    case ColumnType::timestamp:
      store_le(to, value.as_int64());
      break;
    case ColumnType::uint64:
      store_le(to, value.as_uint64());
      break;
    case ColumnType::float64:
      store_le(to, std::bit_cast<uint64_t>(value.as_float64()));
      break;
    case ColumnType::decimal:
      store_le(to, value.as_decimal().unscaled);
      break;
    case ColumnType::uuid:
      std::memcpy(to, value.as_uuid().bytes.data(), sizeof(Uuid));
      break;
    case ColumnType::bytes:
    case ColumnType::text:
    case ColumnType::array:
      break;
  }
}

__attribute__((always_inline)) inline bool load_fixed(const ColumnKind& kind, const char* from,
                                                      Value* value) {
  switch (kind.type) {
    case ColumnType::boolean:
      new (value) Value(Value::boolean(*from != 0));
      return *from == 0 || *from == 1;
    case ColumnType::int64:
      new (value) Value(Value::int64(load_le<int64_t>(from)));
      break;
    case ColumnType::timestamp:
      new (value) Value(Value::timestamp(load_le<int64_t>(from)));
      break;
    case ColumnType::uint64:
      new (value) Value(Value::uint64(load_le<uint64_t>(from)));
      break;
    case ColumnType::float64:
      new (value) Value(Value::float64(std::bit_cast<double>(load_le<uint64_t>(from))));
      break;
    case ColumnType::decimal:
      new (value) Value(Value::decimal({load_le<Int128>(from), kind.scale}));
      break;
    case ColumnType::uuid: {
      Uuid uuid;
      std::memcpy(uuid.bytes.data(), from, sizeof uuid);
      new (value) Value(Value::uuid(uuid));
      break;
    }
    case ColumnType::bytes:
    case ColumnType::text:
    case ColumnType::array:
      return false;
  }
  return true;
}

}  // namespace

RowLayout::RowLayout(std::span<const RowPlace> places) {
  VARVE_ASSERT(places.size() <= kRowPlacesMax);
  const Place* earlier = nullptr;
  places_.reserve(places.size());
  for (const RowPlace& given : places) {
    Place& place = places_.emplace_back();
    place.kind = given.kind;
    place.default_value = given.default_value;
    place.variable = is_variable(given.kind.type);
    place.has_earlier = place.variable && earlier != nullptr;
    for (const size_t wide : {0, 1}) {
      place.offset[wide] = static_cast<uint16_t>(fixed_size_[wide]);
      if (place.has_earlier) place.earlier[wide] = earlier->offset[wide];
      fixed_size_[wide] += fixed_size(given.kind.type, wide != 0);
    }
    if (place.variable) earlier = &place;
  }
}

RowLayout::Sizes RowLayout::sizes_of(std::span<const Value> values) const {
  VARVE_DCHECK(values.size() == places_.size());
  Sizes sizes;
  for (size_t i = 0; i < places_.size(); ++i) {
    if (places_[i].variable) sizes.variable += view_of(values[i]).size();
  }
  sizes.wide = sizes.variable > UINT16_MAX;
  return sizes;
}

size_t RowLayout::size_of(std::span<const Value> values) const {
  const Sizes sizes = sizes_of(values);
  return kRowHeaderSize + row_bitmap_size(places_.size()) + fixed_size_[sizes.wide] +
         sizes.variable;
}

size_t RowLayout::write(std::span<const Value> values, char* to) const {
  const bool wide = sizes_of(values).wide;
  const size_t fixed = kRowHeaderSize + row_bitmap_size(places_.size());
  const size_t variable = fixed + fixed_size_[wide];
  std::memset(to, 0, variable);
  *to = static_cast<char>(kRowVersion | (wide ? kRowWide : 0));
  store_le(to + 1, static_cast<uint16_t>(places_.size()));
  store_le(to + 3, static_cast<uint16_t>(variable));
  size_t end = 0;  // of the variable part so far
  for (size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    const Value& value = values[i];
    VARVE_DCHECK(value.is_null() || value.is(place.kind.type));
    char* const at = to + fixed + place.offset[wide];
    if (value.is_null()) {
      char& nulls = to[kRowHeaderSize + i / 8];
      nulls = static_cast<char>(nulls | 1 << i % 8);
    } else if (!place.variable) {
      store_fixed(value, at);
    }
    if (!place.variable) continue;
    const std::string_view view = view_of(value);
    if (!view.empty()) std::memcpy(to + variable + end, view.data(), view.size());
    end += view.size();
    if (wide) {
      store_le(at, static_cast<uint32_t>(end));
    } else {
      store_le(at, static_cast<uint16_t>(end));
    }
  }
  return variable + end;
}

std::optional<RowView> RowView::open(const RowLayout* layout, std::string_view row) {
  if (row.size() < kRowHeaderSize) return std::nullopt;
  const auto version = static_cast<uint8_t>(row[0]);
  if ((version & ~kRowWide) != kRowVersion) return std::nullopt;
  RowView view(layout, row);
  view.wide_ = (version & kRowWide) != 0;
  view.places_ = load_le<uint16_t>(row.data() + 1);
  view.fixed_ = kRowHeaderSize + row_bitmap_size(view.places_);
  view.variable_ = load_le<uint16_t>(row.data() + 3);
  // Places that the layout has are where it says; a row may have more of them.
  const size_t known = std::min(view.places_, layout->places());
  const size_t known_end = known == layout->places() ? layout->fixed_size_[view.wide_]
                                                     : layout->places_[known].offset[view.wide_];
  const size_t least = view.fixed_ + known_end;
  if (view.places_ > kRowPlacesMax || view.variable_ > row.size() || view.variable_ < least ||
      (view.places_ <= layout->places() && view.variable_ != least)) {
    return std::nullopt;
  }
  return view;
}

template <typename End>
__attribute__((always_inline)) inline bool RowView::read(size_t place, Value* value) const {
  constexpr bool kWide = sizeof(End) == sizeof(uint32_t);
  const RowLayout::Place& at = layout_->places_[place];
  if (place >= places_) {
    *value = at.default_value;
    return true;
  }
  if ((static_cast<uint8_t>(row_[kRowHeaderSize + place / 8]) >> place % 8 & 1) != 0) {
    *value = Value();
    return true;
  }
  const char* const fixed = row_.data() + fixed_;
  if (!at.variable) return load_fixed(at.kind, fixed + at.offset[kWide], value);
  const size_t begin = at.has_earlier ? load_le<End>(fixed + at.earlier[kWide]) : 0;
  const size_t end = load_le<End>(fixed + at.offset[kWide]);
  if (begin > end || end > row_.size() - variable_) return false;
  new (value) Value(Value::of_bytes(at.kind.type, {row_.data() + variable_ + begin, end - begin}));
  return true;
}

bool RowView::get(size_t place, Value* value) const {
  return wide_ ? read<uint32_t>(place, value) : read<uint16_t>(place, value);
}

template <typename End>
bool RowView::read(std::span<const uint32_t> places, std::span<Value> values) const {
  for (const uint32_t place : places) {
    if (!read<End>(place, &values[place])) return false;
  }
  return true;
}

bool RowView::get(std::span<const uint32_t> places, std::span<Value> values) const {
  return wide_ ? read<uint32_t>(places, values) : read<uint16_t>(places, values);
}

bool RowView::get_all(std::span<Value> values) const {
  for (size_t i = 0; i < layout_->places(); ++i) {
    if (!get(i, &values[i])) return false;
  }
  return true;
}

}  // namespace varve
