#include "properties.h"

#include <cstring>
#include <memory>

#include "ledger.h"

OfxPropertySetStruct::OfxPropertySetStruct(std::string what, bool read_only)
    : what_(std::move(what)), read_only_(read_only) {
  ledger().lend(this);
}

OfxPropertySetStruct::OfxPropertySetStruct(const OfxPropertySetStruct& other)
    : what_(other.what_),
      read_only_(other.read_only_),
      properties_(other.properties_),
      initial_(other.initial_) {
  ledger().lend(this);
}

OfxPropertySetStruct::~OfxPropertySetStruct() { ledger().take_back(this); }

void OfxPropertySetStruct::define(const std::string& name, std::vector<PropertyValue> values) {
  const std::lock_guard lock(mutex_);
  properties_[name] = {values.at(0).index(), std::move(values)};
  initial_[name] = properties_[name];
}

void OfxPropertySetStruct::remove(const std::string& name) {
  const std::lock_guard lock(mutex_);
  properties_.erase(name);
  initial_.erase(name);
}

OfxStatus OfxPropertySetStruct::set(const char* name, int index, PropertyValue value) {
  const std::lock_guard lock(mutex_);
  const auto found = properties_.find(name);
  if (read_only_) {
    ledger().violation(std::string("property ") + name + " of " + what_ + " may not be set");
    return kOfxStatErrValue;
  }
  if (found == properties_.end()) return kOfxStatErrUnknown;
  Property& property = found->second;
  if (property.type != value.index()) {
    ledger().violation(std::string("property ") + name + " of " + what_ + " has another type");
    return kOfxStatErrValue;
  }
  if (index < 0 || static_cast<size_t>(index) > property.values.size()) {
    ledger().violation(std::string("property ") + name + " of " + what_ + " has no such index");
    return kOfxStatErrBadIndex;
  }
  if (static_cast<size_t>(index) == property.values.size()) property.values.emplace_back();
  property.values[index] = std::move(value);
  return kOfxStatOK;
}

OfxStatus OfxPropertySetStruct::find(const char* name, int index, size_t type,
                                     PropertyValue& value) {
  const std::lock_guard lock(mutex_);
  const auto found = properties_.find(name);
  if (found == properties_.end()) return kOfxStatErrUnknown;
  if (found->second.type != type) {
    ledger().violation(std::string("property ") + name + " of " + what_ + " has another type");
    return kOfxStatErrValue;
  }
  if (index < 0 || static_cast<size_t>(index) >= found->second.values.size()) {
    ledger().violation(std::string("property ") + name + " of " + what_ + " has no such index");
    return kOfxStatErrBadIndex;
  }
  value = found->second.values[index];
  return kOfxStatOK;
}

OfxStatus OfxPropertySetStruct::dimension(const char* name, int& count) {
  const std::lock_guard lock(mutex_);
  const auto found = properties_.find(name);
  if (found == properties_.end()) return kOfxStatErrUnknown;
  count = static_cast<int>(found->second.values.size());
  return kOfxStatOK;
}

OfxStatus OfxPropertySetStruct::reset(const char* name) {
  const std::lock_guard lock(mutex_);
  const auto found = initial_.find(name);
  if (found == initial_.end()) return kOfxStatErrUnknown;
  properties_[name] = found->second;
  return kOfxStatOK;
}

char* lend_text(const std::string& text) {
  thread_local std::unique_ptr<char[]> lent;
  if (lent) std::memset(lent.get(), '#', std::strlen(lent.get()));
  // The old memory is freed by the assignment; a reader of it is caught by the sanitizers.
  auto copy = std::make_unique<char[]>(text.size() + 1);
  std::memcpy(copy.get(), text.c_str(), text.size() + 1);
  lent = std::move(copy);
  return lent.get();
}

namespace {

template <typename Value>
size_t type_of() {
  return PropertyValue(Value{}).index();
}

OfxStatus set(OfxPropertySetHandle set, const char* name, int index, PropertyValue value) {
  if (!ledger().is_lent(set, "a property set")) return kOfxStatErrBadHandle;
  return set->set(name, index, std::move(value));
}

template <typename Value>
OfxStatus get(OfxPropertySetHandle set, const char* name, int index, Value* out) {
  if (!ledger().is_lent(set, "a property set")) return kOfxStatErrBadHandle;
  PropertyValue value;
  const OfxStatus status = set->find(name, index, type_of<Value>(), value);
  if (status == kOfxStatOK) *out = std::get<Value>(value);
  return status;
}

OfxStatus get_text(OfxPropertySetHandle set, const char* name, int index, char** out) {
  std::string text;
  const OfxStatus status = get<std::string>(set, name, index, &text);
  if (status == kOfxStatOK) *out = lend_text(text);
  return status;
}

template <typename Value, typename Given>
OfxStatus set_all(OfxPropertySetHandle handle, const char* name, int count, const Given* values) {
  for (int index = 0; index < count; ++index) {
    const OfxStatus status = set(handle, name, index, Value(values[index]));
    if (status != kOfxStatOK) return status;
  }
  return kOfxStatOK;
}

template <typename Value>
OfxStatus get_all(OfxPropertySetHandle handle, const char* name, int count, Value* values) {
  for (int index = 0; index < count; ++index) {
    const OfxStatus status = get<Value>(handle, name, index, values + index);
    if (status != kOfxStatOK) return status;
  }
  return kOfxStatOK;
}

OfxStatus set_pointer(OfxPropertySetHandle handle, const char* name, int index, void* value) {
  return set(handle, name, index, value);
}
OfxStatus set_string(OfxPropertySetHandle handle, const char* name, int index, const char* value) {
  return set(handle, name, index, std::string(value));
}
OfxStatus set_double(OfxPropertySetHandle handle, const char* name, int index, double value) {
  return set(handle, name, index, value);
}
OfxStatus set_int(OfxPropertySetHandle handle, const char* name, int index, int value) {
  return set(handle, name, index, value);
}
OfxStatus set_pointers(OfxPropertySetHandle handle, const char* name, int count,
                       void* const* values) {
  return set_all<void*>(handle, name, count, values);
}
OfxStatus set_strings(OfxPropertySetHandle handle, const char* name, int count,
                      const char* const* values) {
  return set_all<std::string>(handle, name, count, values);
}
OfxStatus set_doubles(OfxPropertySetHandle handle, const char* name, int count,
                      const double* values) {
  return set_all<double>(handle, name, count, values);
}
OfxStatus set_ints(OfxPropertySetHandle handle, const char* name, int count, const int* values) {
  return set_all<int>(handle, name, count, values);
}
OfxStatus get_strings(OfxPropertySetHandle, const char*, int, char**) {
  return kOfxStatErrUnsupported;
}
OfxStatus reset(OfxPropertySetHandle handle, const char* name) {
  if (!ledger().is_lent(handle, "a property set")) return kOfxStatErrBadHandle;
  return handle->reset(name);
}
OfxStatus dimension(OfxPropertySetHandle handle, const char* name, int* count) {
  if (!ledger().is_lent(handle, "a property set")) return kOfxStatErrBadHandle;
  return handle->dimension(name, *count);
}

}  // namespace

const OfxPropertySuiteV1* property_suite() {
  static const OfxPropertySuiteV1 suite = {
      set_pointer,    set_string,  set_double,      set_int,      set_pointers, set_strings,
      set_doubles,    set_ints,    get<void*>,      get_text,     get<double>,  get<int>,
      get_all<void*>, get_strings, get_all<double>, get_all<int>, reset,        dimension,
  };
  return &suite;
}
