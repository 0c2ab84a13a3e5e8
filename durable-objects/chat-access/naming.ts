/** There is one chat access object for a deployment. */
export const CHAT_ACCESS = "access";
