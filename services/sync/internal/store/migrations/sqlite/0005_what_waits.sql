-- woken counts what should have an off-boarding looked at at once: who works on it then does not put it to rest.
ALTER TABLE offboardings ADD COLUMN woken INTEGER NOT NULL DEFAULT 0;

-- garbled: how many answers in a row could not be understood.
ALTER TABLE runs ADD COLUMN garbled INTEGER NOT NULL DEFAULT 0;

-- message: why approved removals are not done yet, in words; '' when nothing holds them up.
ALTER TABLE plans ADD COLUMN message TEXT NOT NULL DEFAULT '';

-- From now on refuted_at of a record that is out of scope is when it was put there, or was in use when it was read since. Of
-- those put there before, all that is known is when they were linked.
UPDATE links SET refuted_at = linked_at WHERE out_of_scope AND refuted_at = 0;
