// Plain JavaScript, because the bootstrap needs it before any package is installed.

const signs = /ENOSPC|EDQUOT|no space left on device|disk quota exceeded|errno 28\b/i;

/**
 * What to do if a text is about a full disk, in place of any other advice; undefined if it is not.
 *
 * @param {string} text
 * @returns {string | undefined}
 */
function diskFullAdvice(text) {
  return signs.test(text) ? "The disk is full. Free some space (df -h shows where), then try again." : undefined;
}

module.exports = { diskFullAdvice };
