// Property sets: named, typed, indexed values.
#pragma once

#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ofxProperty.h"

using PropertyValue = std::variant<void*, std::string, double, int>;

struct Property {
  // The index of the alternative in PropertyValue.
  size_t type = 0;
  std::vector<PropertyValue> values;
};

// A property is of the type it was first set to by the host; the plugin cannot add any.
struct OfxPropertySetStruct {
 public:
  explicit OfxPropertySetStruct(std::string what, bool read_only = false);
  OfxPropertySetStruct(const OfxPropertySetStruct& other);
  OfxPropertySetStruct& operator=(const OfxPropertySetStruct&) = delete;
  virtual ~OfxPropertySetStruct();

  // For the host. An empty list of values makes a property of that type that the plugin may fill.
  void define(const std::string& name, std::vector<PropertyValue> values);
  void remove(const std::string& name);
  template <typename Type>
  void define_empty(const std::string& name) {
    properties_[name] = {PropertyValue(Type{}).index(), {}};
  }
  template <typename Type>
  Type get(const std::string& name, size_t index, Type otherwise) const {
    const auto found = properties_.find(name);
    if (found == properties_.end() || found->second.values.size() <= index) return otherwise;
    return std::get<Type>(found->second.values[index]);
  }
  const std::map<std::string, Property>& all() const { return properties_; }

  // For the plugin.
  OfxStatus set(const char* name, int index, PropertyValue value);
  OfxStatus find(const char* name, int index, size_t type, PropertyValue& value);
  OfxStatus dimension(const char* name, int& count);
  OfxStatus reset(const char* name);

 private:
  std::mutex mutex_;
  std::string what_;
  bool read_only_;
  std::map<std::string, Property> properties_;
  std::map<std::string, Property> initial_;
};

const OfxPropertySuiteV1* property_suite();

// Memory of the host that holds a text until the thread's next text, then something else: a plugin
// that keeps the pointer reads nonsense.
char* lend_text(const std::string& text);
