"""What carries out a call: options, the prepared call, attempts and retries, responses, paging."""
