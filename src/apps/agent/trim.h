#pragma once

namespace prunella::agent {

/// Gives memory back after work that comes seldom: free heap, and the pages of program and libraries that were only needed for it
/// (TLS handshakes, parsers). What is needed again comes back from the page cache, a page fault each. An agent waits for months;
/// what it doesn't use in that time need not be resident. Any thread; costs about a millisecond.
void give_memory_back();

}  // namespace prunella::agent
