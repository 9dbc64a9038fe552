// A small OpenFX host: reads commands on standard input, answers in JSON on standard output.

#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "commands.h"

namespace {

// Words are bare, or in double quotes with \" \\ and \n inside.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    if (line[at] == ' ') {
      ++at;
      continue;
    }
    std::string word;
    if (line[at] == '"') {
      for (++at; at < line.size() && line[at] != '"'; ++at) {
        const bool escaped = line[at] == '\\' && at + 1 < line.size();
        if (escaped) ++at;
        word += escaped && line[at] == 'n' ? '\n' : line[at];
      }
      ++at;
    } else {
      while (at < line.size() && line[at] != ' ') word += line[at++];
    }
    words.push_back(word);
  }
  return words;
}

std::string escaped(const std::string& text) {
  std::string json;
  for (const char character : text) {
    if (character == '"' || character == '\\') json += '\\';
    json += character == '\n' ? ' ' : character;
  }
  return json;
}

}  // namespace

int main() {
  Commands commands;
  std::string line;
  while (std::getline(std::cin, line)) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty()) continue;
    try {
      const std::string answer = commands.run(words);
      std::cout << "{\"answer\":" << answer << "}" << std::endl;
    } catch (const std::exception& error) {
      std::cout << "{\"error\":\"" << escaped(error.what()) << "\"}" << std::endl;
    }
  }
  return 0;
}
